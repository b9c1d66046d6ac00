package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/weir-mesh/weir/e2e/engine"
	"github.com/weir-mesh/weir/e2e/upstream"
	"github.com/weir-mesh/weir/filter/adminapi"
)

// refusedKeysOf are the keys that a cluster's limit refused most, as GET /status has them.
func refusedKeysOf(c *console, cluster string) (*adminapi.RefusedKeys, error) {
	c.t.Helper()
	var s adminapi.Status
	a := c.ask(http.MethodGet, "/status", "")
	if err := json.Unmarshal([]byte(a.body), &s); err != nil {
		return nil, fmt.Errorf("GET /status: got %+v: %w", a, err)
	}
	if l := s.Clusters[cluster].RateLimit; l != nil {
		return l.RefusedKeys, nil
	}
	return nil, fmt.Errorf("GET /status: %s has no limit: %s", cluster, a.body)
}

// TestRefusedKeys: who is limited, over all workers: on the status, by the command and in the log, by a hash, or plain where the
// policy asks for it. A flood of keys does not hide the one that is refused most, and no key is told that was not asked for.
func TestRefusedKeys(t *testing.T) {
	t.Parallel()
	u := upstream.New(t)
	const limit = `requests: 10, window_size: 1h, key: [{header: x-api-key}]`
	o := options(t, `
clusters:
  hashed: {rate_limit: {`+limit+`}}
  plain:  {rate_limit: {`+limit+`, show_keys: plain}}
  silent: {rate_limit: {`+limit+`, show_keys: off}}
  shadowed: {mode: shadow, rate_limit: {`+limit+`}}
  flooded: {rate_limit: {requests: 1, window_size: 1h, key: [{header: x-api-key}], max_keys: 1}}
`, map[string]*upstream.Upstream{"hashed": u, "plain": u, "silent": u, "shadowed": u, "flooded": u})
	withAdmin(&o)
	w := startWithLog(t, o, "wasm:debug")
	c := w.console()
	send := func(cluster, key string, times int) {
		t.Helper()
		for range times {
			r := w.request(t.Context(), http.MethodGet, cluster, "/")
			if key != "" {
				r.Header.Set("x-api-key", key)
			}
			if a := w.do(r); a.err != nil {
				t.Fatal(a.err)
			}
		}
	}
	const secret, other = "s3cret-of-alice", "s3cret-of-bob"
	clusters := []string{"hashed", "plain", "silent", "shadowed"}
	for _, cluster := range clusters {
		send(cluster, secret, 40)
		send(cluster, other, 12)
		send(cluster, "", 11)
	}
	var hash string
	for _, cluster := range clusters {
		eventually(t, func() error {
			k, err := refusedKeysOf(c, cluster)
			switch {
			case err != nil:
				return err
			case cluster == "silent":
				if k != nil {
					t.Errorf("show_keys: off: got %+v, want none", k)
				}
				return nil
			case k == nil || k.Total != 33:
				return fmt.Errorf("%s: got %+v, want a total of 33", cluster, k)
			}
			texts := []string{"", "", "(none)"}
			if cluster == "plain" {
				texts = []string{"x-api-key=" + secret, "x-api-key=" + other, "(none)"}
			}
			for i, times := range []float64{30, 2, 1} {
				if len(k.Keys) != 3 || k.Keys[i].AtLeast != times || k.Keys[i].AtMost != times || k.Keys[i].Text != texts[i] || len(k.Keys[i].Key) != 16 {
					t.Errorf("%s: got keys %+v, want 30 of %q, 2 of %q and 1 of %q", cluster, k.Keys, texts[0], texts[1], texts[2])
					break
				}
			}
			if cluster == "hashed" {
				hash = k.Keys[0].Key
			} else if k.Keys[0].Key != hash {
				t.Errorf("%s: the key has the hash %s, and %s in another cluster", cluster, k.Keys[0].Key, hash)
			}
			return nil
		})
	}

	// 400 keys, each refused twice, and one in three requests is of the one to find.
	for i := range 400 {
		send("flooded", fmt.Sprint("flood-", i), 2)
		send("flooded", secret, 1)
	}
	eventually(t, func() error {
		k, err := refusedKeysOf(c, "flooded")
		switch {
		case err != nil:
			return err
		case k == nil || k.Total < 1190:
			return fmt.Errorf("flooded: got %+v, want a total of some 1,200", k)
		case k.Keys[0].Key != hash || k.Keys[0].AtLeast > 400 || k.Keys[0].AtMost < 399 || len(k.Keys) > 16:
			t.Errorf("flooded: got keys %+v, want %s first, with 400 between its bounds", k.Keys, hash)
		}
		return nil
	})

	one := runWeir(t, "status", c.url, "hashed")
	if !strings.Contains(one.out, hash+" 30 times") || !strings.Contains(one.out, "(none) 1 times") || !strings.Contains(one.out, "limited: the limit of 10/h for each key") {
		t.Errorf("weir status hashed says, without the key or how often it was refused:\n%s", one.out)
	}
	if all := runWeir(t, "status", c.url, "--fail-on", "limited"); all.status != 1 {
		t.Errorf("weir status --fail-on limited ended with %d, want 1:\n%s%s", all.status, all.out, all.err)
	}
	w.WaitLog("weir: hashed: rate_limited: limit of 10 reached, retry in ")
	for _, line := range strings.Split(w.Logs(), "\n") {
		if _, said, ok := strings.Cut(line, "weir: weir: "); ok && (strings.Contains(said, "s3cret") && !strings.HasPrefix(said, "plain: ") || strings.HasPrefix(said, "hashed: rate_limited") && !strings.Contains(said, ", key ")) {
			t.Fatalf("a log line tells a key that it must not, or has none: %s", line)
		}
	}
	if a := c.ask(http.MethodGet, "/status/hashed", ""); strings.Contains(a.body, "s3cret") {
		t.Errorf("the status tells a key that nobody asked for: %s", a.body)
	}
	c.post("/reset/hashed")
	eventually(t, func() error {
		if k, err := refusedKeysOf(c, "hashed"); err != nil || k != nil {
			return fmt.Errorf("after a reset: got %+v, %w, want none", k, err)
		}
		return nil
	})
	w.WaitMetric("weir_faults_total", engine.Exactly(0))
}
