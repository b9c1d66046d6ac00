package bridge

import (
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

func TestParseTarget(t *testing.T) {
	tune := tuning{timeout: 70 * time.Millisecond, connections: 5}
	for text, want := range map[string]struct{ where, addresses string }{
		"redis://localhost":                                         {"localhost:6379", "localhost:6379"},
		"rediss://u:p%40@h:7/2":                                     {"h:7", "h:7"},
		"unix:///run/redis.sock?db=1":                               {"/run/redis.sock", "/run/redis.sock"},
		"redis+cluster://:p@a,b:7,[::1]:8":                          {"a,b:7,[::1]:8", "a:6379 b:7 [::1]:8"},
		"rediss+cluster://a?skip_verify=true":                       {"a", "a:6379"},
		"redis+sentinel://u:p@a,b:7/mymaster/3?sentinel_password=s": {"mymaster of Sentinels a,b:7", ""},
	} {
		t.Run(text, func(t *testing.T) {
			parsed, err := parseTarget(text)
			if err != nil || parsed.where != want.where {
				t.Fatalf("got %q, %v, want %q", parsed.where, err, want.where)
			}
			client, err := parsed.connect(tune)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = client.Close() }()
			switch c := client.(type) {
			case *redis.Client:
				o := c.Options()
				if want.addresses != "" && o.Addr != want.addresses {
					t.Errorf("address %s, want %s", o.Addr, want.addresses)
				}
				if o.ReadTimeout != tune.timeout || o.DialTimeout != tune.timeout || o.PoolSize != 5 || o.Protocol != 2 || o.MaxRetries > 0 || !o.ContextTimeoutEnabled {
					t.Errorf("got %+v", o)
				}
			case *redis.ClusterClient:
				o := c.Options()
				if got := strings.Join(o.Addrs, " "); got != want.addresses {
					t.Errorf("addresses %s, want %s", got, want.addresses)
				}
				if o.ReadTimeout != tune.timeout || o.PoolSize != 5 || o.Protocol != 2 || !o.ContextTimeoutEnabled || o.TLSConfig != nil && o.TLSConfig.ServerName != "" {
					t.Errorf("got %+v", o)
				}
			}
		})
	}
}

func TestParseTargetLogin(t *testing.T) {
	parsed, err := parseTarget("redis+sentinel://u:p%40w@a,b:7/mymaster/3?sentinel_username=su&sentinel_password=s")
	if err != nil {
		t.Fatal(err)
	}
	o, err := redis.ParseFailoverURL(parsed.url.String())
	if err != nil || o.Username != "u" || o.Password != "p@w" || o.SentinelUsername != "su" || o.SentinelPassword != "s" || o.DB != 3 || o.MasterName != "mymaster" {
		t.Errorf("got %+v, %v", o, err)
	}
	if got := strings.Join(o.SentinelAddrs, " "); got != "a:26379 b:7" {
		t.Errorf("Sentinels %s", got)
	}
}

// An error never shows the password.
func TestParseTargetMistakes(t *testing.T) {
	for text, want := range map[string]string{
		"":                                 "want redis://",
		"localhost:6379":                   "want redis://",
		"http://secret@h":                  "want redis://",
		"redis+ring://secret@h":            "want redis://",
		"redis://":                         "the host is missing",
		"redis://u:secret%zz@h":            "not a URL",
		"redis://u:secret/1@h":             "not a URL",
		"redis://:secret@h:6379x":          "not a URL",
		"redis://:secret@h/db":             "database number",
		"redis://:secret@h?pool_sise=3":    "pool_sise",
		"redis://:secret@h?pool_size=many": "pool_size",
		"redis+sentinel://:secret@h":       "the master's name",
		"redis+sentinel://:secret@h,/m":    `"" is not HOST:PORT`,
		"redis+sentinel://:secret@h/m/1/2": "invalid",
		"redis+cluster://:secret%zz@h":     "USER:PASSWORD is malformed",
		"redis+cluster://:secret@h/1":      "only database 0",
		"redis+cluster://:secret@h?%zz=1":  "query is malformed",
		"redis+cluster://:secret@h:port,i": "is not HOST:PORT",
	} {
		t.Run(text, func(t *testing.T) {
			_, err := parseTarget(text)
			if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
				t.Errorf("got %v, want %q", err, want)
			}
		})
	}
}
