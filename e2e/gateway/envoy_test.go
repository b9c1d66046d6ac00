package gateway

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// answer is what a client saw.
type answer struct {
	status int
	header http.Header
	body   string
	err    error
}

func fetch(t *testing.T, url, host string, header ...string) (a answer) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = host
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 30 * time.Second}
	response, err := client.Do(r)
	if err != nil {
		return answer{err: err}
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return answer{response.StatusCode, response.Header, string(body), err}
}

// url is that of a listener of the Gateway.
func (c *controlPlane) url(listener string) string {
	return fmt.Sprintf("http://127.0.0.1:%d/", c.ports[listener])
}

// get sends a GET to a listener of the Gateway, for a route's host. header are names and values.
func (c *controlPlane) get(listener, route string, header ...string) answer {
	c.t.Helper()
	return fetch(c.t, c.url(listener), route+".example.com", header...)
}

// count is how often each status came of n requests.
func (c *controlPlane) count(n int, listener, route string) map[int]int {
	c.t.Helper()
	counts := map[int]int{}
	for range n {
		counts[c.get(listener, route).status]++
	}
	return counts
}

// waitForRoutes waits until both listeners answer for a route that the policy does not limit.
func (c *controlPlane) waitForRoutes(route string) {
	c.t.Helper()
	for listener := range c.ports {
		c.eventually(func() error {
			if a := c.get(listener, route); a.status != http.StatusOK {
				return fmt.Errorf("listener %s: got %d, %v, want 200", listener, a.status, a.err)
			}
			return nil
		})
	}
}

// admin asks Envoy's own admin interface.
func (c *controlPlane) admin(path string) string {
	c.t.Helper()
	files, err := filepath.Glob(filepath.Join(c.runs, "*", "admin-address.txt"))
	if err != nil || len(files) != 1 {
		c.t.Fatalf("got the addresses of Envoys %v, %v, want one", files, err)
	}
	address, err := os.ReadFile(files[0])
	if err != nil {
		c.t.Fatal(err)
	}
	a := fetch(c.t, "http://"+string(address)+path, "")
	if a.err != nil || a.status != http.StatusOK {
		c.t.Fatalf("Envoy's %s: got %d, %v", path, a.status, a.err)
	}
	return a.body
}

// httpFilter is a filter as Envoy has it, as far as the tests ask.
type httpFilter struct {
	Name        string `json:"name"`
	TypedConfig struct {
		Config struct {
			Name          string `json:"name"`
			FailurePolicy string `json:"failure_policy"`
			VM            struct {
				ID string `json:"vm_id"`
			} `json:"vm_config"`
		} `json:"config"`
	} `json:"typed_config"`
}

// httpFilters are those of each active listener, in their order.
func (c *controlPlane) httpFilters() map[string][]httpFilter {
	c.t.Helper()
	var dump struct {
		Configs []struct {
			Name   string `json:"name"`
			Active struct {
				Listener struct {
					Chains  []chain `json:"filter_chains"`
					Default chain   `json:"default_filter_chain"`
				} `json:"listener"`
			} `json:"active_state"`
		} `json:"configs"`
	}
	if err := json.Unmarshal([]byte(c.admin("/config_dump?resource=dynamic_listeners")), &dump); err != nil {
		c.t.Fatal(err)
	}
	filters := map[string][]httpFilter{}
	for _, l := range dump.Configs {
		for _, chain := range append(l.Active.Listener.Chains, l.Active.Listener.Default) {
			for _, f := range chain.Filters {
				filters[l.Name] = append(filters[l.Name], f.TypedConfig.HTTPFilters...)
			}
		}
	}
	return filters
}

type chain struct {
	Filters []struct {
		TypedConfig struct {
			HTTPFilters []httpFilter `json:"http_filters"`
		} `json:"typed_config"`
	} `json:"filters"`
}

// waitOutput waits until the control plane or its Envoy has written a text.
func (c *controlPlane) waitOutput(text string) {
	c.t.Helper()
	c.eventually(func() error {
		if !strings.Contains(c.process.Output(), text) {
			return fmt.Errorf("got no %q in the output", text)
		}
		return nil
	})
}

// eventually polls until done answers nil, and fails with its last word.
func (c *controlPlane) eventually(done func() error) {
	c.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := done()
		switch {
		case err == nil:
			return
		case c.process.Ended():
			c.t.Fatalf("Envoy Gateway has ended: %v", err)
		case time.Now().After(deadline):
			c.t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
