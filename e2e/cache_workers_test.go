package e2e

import (
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/weir-mesh/weir/e2e/engine"
	"github.com/weir-mesh/weir/e2e/upstream"
)

// TestCacheOverWorkersAndCrashes: one worker serves what the other stored, also after the VMs of both have
// crashed, so the entry was in shared data and not in a VM.
func TestCacheOverWorkersAndCrashes(t *testing.T) {
	t.Parallel()
	u := answering(t, map[string]upstream.Behaviour{
		"/0": upstream.Body("stored by worker 0"), "/1": upstream.Body("stored by worker 1"),
		"/crashed": upstream.Body("the VM crashed at its headers"), "/after": upstream.Body("stored after the crashes"),
	})
	w := startCrashing(t, fmt.Sprintf("clusters: {aws: {fallback: {%s}}}", onMiss), map[string]*upstream.Upstream{"aws": u, "plain": upstream.New(t)})
	clients, vms := workers(t, func(c *http.Client) string { return w.ask(c, "plain", "").header.Get(vmHeader) })

	served := func(path, body string) {
		t.Helper()
		for i, c := range clients {
			hit(t, fmt.Sprintf("%s by worker %d", path, i), w.sendOver(c, "aws", path, failHeader, "500"), "cache", body)
			// Envoy sends a local reply past the filters, so the reply does not name its VM: the
			// connection does, which stays with its worker.
			if vm := w.ask(c, "plain", "").header.Get(vmHeader); vm != vms[i] {
				t.Errorf("worker %d has VM %q, want %q", i, vm, vms[i])
			}
		}
	}
	for i, c := range clients {
		path := fmt.Sprintf("/%d", i)
		stored := fill(t, w.sendOver(c, "aws", path))
		served(path, stored.body)
	}
	for i, c := range clients {
		for _, when := range []string{"request", "response"} {
			if a := w.sendOver(c, "aws", "/crashed", "weir-test-crash", when); a.status != 503 || a.source() != "" {
				t.Fatalf("worker %d, crash at the %s: got %+v, want Envoy's own 503", i, when, a)
			}
			vms[i] = w.served(c)
		}
	}
	for i := range clients {
		served(fmt.Sprintf("/%d", i), fmt.Sprintf("stored by worker %d", i))
	}
	for i, c := range clients {
		miss(t, fmt.Sprintf("what crashed worker %d", i), w.sendOver(c, "aws", "/crashed", failHeader, "500"))
	}
	fill(t, w.sendOver(clients[0], "aws", "/after"))
	served("/after", "stored after the crashes")
	w.WaitStat("wasm.weir.vm_reload_success", engine.Exactly(4))
	w.WaitMetric("weir_faults_total", engine.Exactly(0))
}

// TestCacheOverReload: a new policy finds what was stored under the old one, unless it counts other headers as the key:
// then no request is served what was stored without them.
func TestCacheOverReload(t *testing.T) {
	if testing.Short() {
		t.Skip("one engine is enough for this")
	}
	t.Parallel()
	u := upstream.New(t)
	u.Set(upstream.Status(500))
	u.When(healthy, upstream.Func(func(rw http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(rw, r.URL.Path+" in "+r.Header.Get("x-lang"))
	}))
	policy := func(name, rules string) string {
		return fmt.Sprintf("clusters: {aws: {fallback: {default_data: {body: %q}, %s}}}", name, rules)
	}
	w := startWatched(t, policy("first", "max_entries: 200"), map[string]*upstream.Upstream{"aws": u})
	// ask wants the cache's answer, or the default data of the policy in force, which is its name.
	ask := func(what, source, body string, headers ...string) {
		t.Helper()
		a := w.sendFailing("GET", "aws", "/page", headers...)
		if source == "cache" {
			hit(t, what, a, source, body)
		} else if a.source() != source || a.body != body {
			t.Errorf("%s: %+v, want %q from %s", what, a, body, source)
		}
	}
	change := func(name, rules string) {
		t.Helper()
		w.replace(policy(name, rules), "config_reload")
		// The workers take it up one after the other. Of sixteen connections not all go to the same one.
		eventually(t, func() error {
			for range 16 {
				if a := w.sendFailing("GET", "aws", "/nothing-stored"); a.body != name {
					return fmt.Errorf("got another policy than %s: %+v", name, a)
				}
			}
			return nil
		})
	}

	fill(t, w.get("aws", "/page"))
	ask("before", "cache", "/page in ")
	change("second", "max_entries: 10") // another number of places
	ask("after a reload", "cache", "/page in ")

	change("keyed", "cache_key_headers: [x-lang], max_entries: 10")
	ask("what was stored without x-lang", "default", "keyed", "x-lang", "de")
	ask("what was stored without x-lang", "default", "keyed", "x-lang", "")
	ask("what was stored without x-lang", "default", "keyed")
	for _, lang := range []string{"de", "en"} {
		fill(t, w.send("GET", "aws", "/page", "x-lang", lang))
		ask("x-lang "+lang, "cache", "/page in "+lang, "x-lang", lang)
	}
	ask("no x-lang", "default", "keyed")

	change("more", "cache_key_headers: [x-lang, x-size], max_entries: 10")
	ask("what was stored without x-size", "default", "more", "x-lang", "de")
	change("other", "cache_key_headers: [x-size], max_entries: 10")
	ask("what was stored by x-lang", "default", "other", "x-lang", "de")
	ask("what was stored by x-lang", "default", "other", "x-size", "de")

	change("off", "enable_cache_fallback: false")
	ask("switched off", "default", "off")
	change("last", "max_entries: 10")
	ask("as in the beginning", "cache", "/page in ")
	ask("as in the beginning, what is not in the key", "cache", "/page in ", "sec-ch-ua", "de")
	ask("as in the beginning, what may say who asks", "default", "last", "x-lang", "de")
	change("shared", "shared: true, max_entries: 10")
	fill(t, w.get("aws", "/page"))
	ask("shared, what is not in the key", "cache", "/page in ", "x-lang", "de")
	w.WaitMetric("weir_faults_total", engine.Exactly(0))
}
