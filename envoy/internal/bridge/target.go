package bridge

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// target is the Redis that commands go to.
type target struct {
	url      url.URL // as go-redis reads it
	where    string  // for logs: without user and password
	sentinel bool
	cluster  bool
}

// parseTarget reads the URL of a Redis:
//
//	redis://[USER:PASSWORD@]HOST[:6379][/DB]                             one server; rediss:// with TLS
//	unix://[USER:PASSWORD@]/path/to/redis.sock[?db=DB]                   one server
//	redis+sentinel://[USER:PASSWORD@]HOST[:26379],HOST…/MASTER[/DB]      the master that the Sentinels name
//	redis+cluster://[USER:PASSWORD@]HOST[:6379],HOST…                    a Redis Cluster
//
// rediss+sentinel and rediss+cluster use TLS. USER:PASSWORD is the login at Redis; the login at the Sentinels is
// ?sentinel_username= and ?sentinel_password=. The query may hold go-redis's other options, such as skip_verify=true:
// https://pkg.go.dev/github.com/redis/go-redis/v9#ParseURL
//
// An error never contains the URL, since the URL may hold a password.
func parseTarget(text string) (target, error) {
	scheme, rest, found := strings.Cut(text, "://")
	transport, kind, _ := strings.Cut(scheme, "+")
	known := transport == "redis" || transport == "rediss" || scheme == "unix"
	if !found || !known || (kind != "" && kind != "sentinel" && kind != "cluster") {
		return target{}, errors.New("want redis://, rediss://, unix://, redis+sentinel:// or redis+cluster://")
	}
	if kind == "" {
		return parseSingle(scheme, text)
	}

	rest, rawQuery, _ := strings.Cut(rest, "?")
	query, err := url.ParseQuery(rawQuery)
	if err != nil {
		return target{}, errors.New("the query is malformed")
	}
	authority, path, _ := strings.Cut(rest, "/")
	login, hosts := "", authority
	if i := strings.LastIndexByte(authority, '@'); i >= 0 {
		login, hosts = authority[:i], authority[i+1:]
	}
	t := target{where: hosts, sentinel: kind == "sentinel", cluster: kind == "cluster"}

	port := "6379"
	if t.sentinel {
		port = "26379"
	}
	addresses, err := splitHosts(hosts, port)
	if err != nil {
		return target{}, err
	}
	user, err := parseLogin(login)
	if err != nil {
		return target{}, err
	}
	query["addr"] = addresses[1:]
	// go-redis's URL has the first address as its host, and the others in the query.
	u := url.URL{Scheme: transport, Host: addresses[0], User: user}
	if t.sentinel {
		master, db, _ := strings.Cut(path, "/")
		if master == "" {
			return target{}, errors.New("the master's name is missing: want redis+sentinel://HOST/MASTER")
		}
		t.where = master + " of Sentinels " + hosts
		query.Set("master_name", master)
		u.Path = "/" + db
		// In go-redis's URL, the userinfo is the login at the Sentinels.
		if user != nil {
			query.Set("username", user.Username())
			password, _ := user.Password()
			query.Set("password", password)
		}
		u.User = nil
		if name, password := query.Get("sentinel_username"), query.Get("sentinel_password"); name != "" || password != "" {
			u.User = url.UserPassword(name, password)
		}
		query.Del("sentinel_username")
		query.Del("sentinel_password")
	} else if path != "" && path != "0" {
		return target{}, errors.New("a Redis Cluster has only database 0: write no other in the path")
	}
	u.RawQuery = query.Encode()
	t.url = u
	return t, t.check()
}

func parseSingle(scheme, text string) (target, error) {
	u, err := url.Parse(text)
	if err != nil {
		return target{}, errors.New("not a URL; write / ? # @ % in a password as %2F %3F %23 %40 %25")
	}
	t := target{url: *u, where: u.Host}
	switch {
	case scheme == "unix":
		t.where = u.Path
	case u.Hostname() == "":
		return target{}, errors.New("the host is missing")
	case u.Port() == "":
		t.where = net.JoinHostPort(u.Hostname(), "6379")
	}
	return t, t.check()
}

// splitHosts reads HOST[:PORT],HOST[:PORT]…
func splitHosts(text, port string) ([]string, error) {
	var addresses []string
	for host := range strings.SplitSeq(text, ",") {
		u, err := url.Parse("redis://" + host)
		if err != nil || u.Hostname() == "" {
			return nil, fmt.Errorf("%q is not HOST:PORT", host)
		}
		if u.Port() == "" {
			host = net.JoinHostPort(u.Hostname(), port)
		}
		addresses = append(addresses, host)
	}
	return addresses, nil
}

// parseLogin reads USER:PASSWORD, percent-encoded.
func parseLogin(text string) (*url.Userinfo, error) {
	if text == "" {
		return nil, nil
	}
	u, err := url.Parse("redis://" + text + "@host")
	if err != nil || u.User == nil {
		return nil, errors.New("USER:PASSWORD is malformed; write / ? # @ % in them as %2F %3F %23 %40 %25")
	}
	return u.User, nil
}

// tuning configures connections, for what the URL leaves open.
type tuning struct {
	timeout     time.Duration // for connecting, writing, reading, and waiting for a connection
	connections int           // at most, to each server
}

// apply adds the tuning to a URL for go-redis. RESP2 is used since its replies have the forms that Upstash's dialect
// has.
func (t tuning) apply(u url.URL) string {
	query := u.Query()
	for name, value := range map[string]string{
		"protocol": "2", "dial_timeout": t.timeout.String(), "read_timeout": t.timeout.String(), "write_timeout": t.timeout.String(),
		"pool_timeout": t.timeout.String(), "pool_size": strconv.Itoa(t.connections),
	} {
		if !query.Has(name) {
			query.Set(name, value)
		}
	}
	query.Set("max_retries", "-1")        // see once
	query.Set("pipeline_pool_size", "-1") // pipelines share the connections
	u.RawQuery = query.Encode()
	return u.String()
}

// connect makes a client. It dials nothing yet.
func (t target) connect(tune tuning) (redis.UniversalClient, error) {
	switch {
	case t.sentinel:
		o, err := redis.ParseFailoverURL(tune.apply(t.url))
		if err != nil {
			return nil, withoutURL(err)
		}
		o.ContextTimeoutEnabled, o.DialerRetries = true, 1
		verifyEach(o.TLSConfig)
		return redis.NewFailoverClient(o), nil
	case t.cluster:
		u, query := t.url, t.url.Query()
		skip := query.Get("skip_verify") == "true" // ParseClusterURL does not know it
		query.Del("skip_verify")
		u.RawQuery = query.Encode()
		o, err := redis.ParseClusterURL(tune.apply(u))
		if err != nil {
			return nil, withoutURL(err)
		}
		if o.TLSConfig != nil {
			o.TLSConfig.InsecureSkipVerify = skip
		}
		o.ContextTimeoutEnabled, o.DialerRetries = true, 1
		o.DisableRoutingPolicies = true // a command goes to one node, never to all
		verifyEach(o.TLSConfig)
		return redis.NewClusterClient(o), nil
	default:
		o, err := redis.ParseURL(tune.apply(t.url))
		if err != nil {
			return nil, withoutURL(err)
		}
		o.ContextTimeoutEnabled, o.DialerRetries = true, 1
		return redis.NewClient(o), nil
	}
}

// check returns what go-redis finds wrong with the URL.
func (t target) check() error {
	client, err := t.connect(tuning{timeout: time.Second, connections: 1})
	if err != nil {
		return err
	}
	return client.Close()
}

// verifyEach makes TLS verify each server's certificate against that server's name. go-redis would use the first
// server's name for all of them.
func verifyEach(c *tls.Config) {
	if c != nil {
		c.ServerName = ""
	}
}

// withoutURL removes go-redis's prefix, and hides an error that repeats the URL.
func withoutURL(err error) error {
	var parse *url.Error
	if errors.As(err, &parse) {
		return errors.New("not a URL")
	}
	return errors.New(strings.TrimPrefix(err.Error(), "redis: "))
}
