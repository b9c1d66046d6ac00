package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/weir-mesh/weir/e2e/engine"
	"github.com/weir-mesh/weir/e2e/load"
	"github.com/weir-mesh/weir/e2e/upstream"
	"github.com/weir-mesh/weir/envoy/render"
	"github.com/weir-mesh/weir/sharedstate/storetest"
)

// TestSharedData holds Envoy's shared data to what sharedstate.Memory is held to: the conformance suite in both
// workers' VMs, and the races between them.
func TestSharedData(t *testing.T) {
	t.Parallel()
	dir := engine.Dir(t)
	bootstrap, err := render.Bootstrap(render.Options{
		Policy:    []byte(`{}`),
		Upstreams: []render.Upstream{{Name: "nobody", Host: "127.0.0.1", Port: upstream.New(t).Port()}}, // never asked
		Wasm:      filepath.Join(dir, "store.wasm"),
	})
	if err != nil {
		t.Fatal(err)
	}
	store := map[string][]byte{"store.wasm": moduleBytes(t, storeModule)}
	p := &storePlugin{Envoy: engine.Start(t, engine.Config{Bootstrap: bootstrap, Dir: dir, Files: store})}
	p.url = p.URL()

	clients, vms := workers(t, func(c *http.Client) string {
		return p.ask(t, c, "/case", p.header(storetest.Cases[0].Name)).header.Get(vmHeader)
	})
	for _, c := range storetest.Cases {
		t.Run(c.Name, func(t *testing.T) {
			for i, client := range clients {
				a := p.ask(t, client, "/case", p.header(c.Name))
				if a.err != nil || a.status != http.StatusOK || a.body != "ok" {
					t.Errorf("worker %d: got %d %q %v, want 200 \"ok\"", i, a.status, a.body, a.err)
				}
				if got := a.header.Get(vmHeader); got != vms[i] {
					t.Errorf("worker %d: VM %q answered, want %q", i, got, vms[i])
				}
			}
		})
	}
	for _, race := range storetest.Races {
		t.Run(race.Name, func(t *testing.T) {
			// A race needs both workers at the same time: only rounds count in which both won something and one lost.
			const want = 5
			rounds, met := 0, 0
			var all storetest.Score
			eventually(t, func() error {
				rounds++
				score, both := p.round(t, clients[0], race)
				all = all.Plus(score)
				if both && score.Lost > 0 {
					met++
				}
				if met < want {
					return fmt.Errorf("the workers met in %d of %d rounds, want %d", met, rounds, want)
				}
				return nil
			})
			t.Logf("%d sets succeeded, %d came too late; the workers met in %d of %d rounds", all.Won, all.Lost, met, rounds)
		})
	}
}

// storePlugin is an Envoy with the module filter/internal/testmodules/store in it.
type storePlugin struct {
	*engine.Envoy
	url      string
	prefixes atomic.Int64
}

// header names a case or a race, with a prefix that was never used before.
func (p *storePlugin) header(name string) http.Header {
	return http.Header{
		"Weir-Test-Name":   {name},
		"Weir-Test-Prefix": {fmt.Sprintf("weir/test/%d/", p.prefixes.Add(1))},
	}
}

func (p *storePlugin) ask(t *testing.T, client *http.Client, path string, header http.Header) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header = header
	return send(client, r)
}

// round lets 64 connections step at once, and checks the race. It returns all scores together, and whether both workers
// won something.
func (p *storePlugin) round(t *testing.T, client *http.Client, race storetest.Race) (all storetest.Score, both bool) {
	t.Helper()
	header := p.header(race.Name)
	scores, vms := map[string]storetest.Score{}, map[string]bool{}
	for _, a := range load.Run(t, load.Plan{URL: p.url + "/step", Header: header, Requests: 64}) {
		if a.Err != nil || a.Status != http.StatusOK {
			t.Fatalf("step: got %d %q %v, want 200", a.Status, a.Body, a.Err)
		}
		var score storetest.Score
		if err := json.Unmarshal([]byte(a.Body), &score); err != nil {
			t.Fatalf("a step's score: %v in %q", err, a.Body)
		}
		scores[a.Header.Get("weir-test-caller")] = score
		if all = all.Plus(score); score.Won > 0 {
			vms[a.Header.Get(vmHeader)] = true
		}
	}
	if len(scores) != 64 {
		t.Fatalf("%d callers, want 64", len(scores))
	}
	text, err := json.Marshal(scores)
	if err != nil {
		t.Fatal(err)
	}
	header.Set("Weir-Test-Scores", string(text))
	if a := p.ask(t, client, "/check", header); a.err != nil || a.status != http.StatusOK || a.body != "ok" {
		t.Fatalf("check: got %d %q %v, want 200 \"ok\"", a.status, a.body, a.err)
	}
	return all, len(vms) == 2
}
