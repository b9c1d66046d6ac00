package bench

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"

	"github.com/weir-mesh/weir/e2e/engine"
	"github.com/weir-mesh/weir/e2e/repo"
	"github.com/weir-mesh/weir/envoy/render"
)

// firstRequests is how many requests after a start or a reload are measured, each on a connection of its own, so that both
// workers get some.
const firstRequests = 100

// BenchmarkFirstRequests is how long the first requests take after a start and after a reload, which must not compile
// anything, beside those of an Envoy without a filter: BENCH_ROUNDS starts of each, by turns.
func BenchmarkFirstRequests(b *testing.B) {
	rounds := Setting(b, "BENCH_ROUNDS", 5)
	engine.Announce(os.Stdout)
	upstream := StartUpstream(b)
	rows := []first{{name: noFilter}, {name: "Weir, after a start"}, {name: "Weir, after a reload"}}
	for range rounds {
		bare := startWatched(b, upstream, false)
		rows[0].add(askFirst(b, bare.URL()))
		bare.Stop()
		weir := startWatched(b, upstream, true)
		rows[1].add(askFirst(b, weir.URL()))
		reloads := reloadStat(b, weir)
		before := weir.Stats()[reloads]
		weir.ReplaceFile(watchedFile, ecds(b, watchedOptions(upstream, quickstartAgain, filepath.Join(weir.Dir(), watchedFile))))
		weir.WaitStat(reloads, engine.AtLeast(before+1))
		rows[2].add(askFirst(b, weir.URL()))
		weir.Stop()
	}
	fmt.Printf("\nthe first %d requests, each on a new connection, one after the other; 2 workers; %d times each\n\n", firstRequests, rounds)
	if err := writeFirst(os.Stdout, rows); err != nil {
		b.Fatal(err)
	}
}

// first is what the first requests took, in the order of time for each start.
type first struct {
	name string
	took [][]time.Duration
}

func (f *first) add(took []time.Duration) { f.took = append(f.took, took) }

// writeFirst prints a line for each row: the first request of all starts, percentiles and the longest of all requests, and how
// many took longer than 5 ms.
func writeFirst(w io.Writer, rows []first) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintln(table, "first ms\tp50 ms\tp99 ms\tlongest ms\tabove 5 ms\t  row")
	for _, r := range rows {
		var firsts []time.Duration
		for _, took := range r.took {
			firsts = append(firsts, took[0])
		}
		all := slices.Concat(r.took...)
		slices.Sort(firsts)
		slices.Sort(all)
		above := 0
		for _, took := range all {
			if took > 5*time.Millisecond {
				above++
			}
		}
		_, _ = fmt.Fprintf(table, "%.2f\t%.2f\t%.2f\t%.2f\t%d of %d\t  %s\n", milliseconds(firsts[len(firsts)/2]),
			milliseconds(all[len(all)/2]), milliseconds(all[len(all)*99/100]), milliseconds(all[len(all)-1]), above, len(all), r.name)
	}
	return table.Flush()
}

// askFirst sends the requests, and returns how long each took.
func askFirst(t testing.TB, url string) (took []time.Duration) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for range firstRequests {
		begun := time.Now()
		answer, err := client.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.Copy(io.Discard, answer.Body)
		_ = answer.Body.Close()
		took = append(took, time.Since(begun))
		if err != nil || answer.StatusCode != http.StatusOK {
			t.Fatalf("got %s, %v, want 200", answer.Status, err)
		}
	}
	return took
}

const watchedFile = "weir.yaml"

// quickstartAgain is the policy quickstart with another number, so that Envoy takes it for a new one.
var quickstartAgain = rules(`"rate_limit": {"algorithm": "token_bucket", "burst_capacity": 999999, "refill_rate": 1000000}, "circuit_breaker": {}`)

func watchedOptions(upstream render.Upstream, policy, file string) render.Options {
	return render.Options{Policy: []byte(policy), Upstreams: []render.Upstream{upstream}, Wasm: repo.ModuleFile("weir"), ECDS: file}
}

// startWatched starts an Envoy whose filter comes from a file, or one without a filter.
func startWatched(t testing.TB, upstream render.Upstream, weir bool) *engine.Envoy {
	t.Helper()
	dir := engine.Dir(t)
	o := watchedOptions(upstream, quickstart, filepath.Join(dir, watchedFile))
	bootstrap, err := render.Bootstrap(o)
	if err != nil {
		t.Fatal(err)
	}
	if !weir {
		ChangeManager(t, bootstrap, func(manager *hcmv3.HttpConnectionManager) { SetFilters(manager) })
	}
	return engine.Start(t, engine.Config{
		Bootstrap: bootstrap, Dir: dir, LogLevel: "warning", Files: map[string][]byte{watchedFile: ecds(t, o)},
	})
}

// ecds is the watched file.
func ecds(t testing.TB, o render.Options) []byte {
	t.Helper()
	response, err := render.ECDS(o)
	if err != nil {
		t.Fatal(err)
	}
	content, err := render.YAML(response)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// reloadStat is the statistic that counts the policies that have come.
func reloadStat(t testing.TB, e *engine.Envoy) string {
	t.Helper()
	for name := range e.Stats() {
		if strings.Contains(name, "extension_config_discovery.http_filter.") && strings.HasSuffix(name, ".config_reload") {
			return name
		}
	}
	t.Fatal("no statistic counts reloads")
	return ""
}
