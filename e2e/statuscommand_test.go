package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/weir-mesh/weir/e2e/engine"
	"github.com/weir-mesh/weir/e2e/upstream"
)

// weirCommand is the command, as make builds it.
const weirCommand = "../build/weir"

// said is what a command line printed, and how it ended.
type said struct {
	status   int
	out, err string
}

// runWeir runs `weir` to its end.
func runWeir(t *testing.T, args ...string) said {
	t.Helper()
	if _, err := os.Stat(weirCommand); err != nil {
		t.Fatalf("%v: run `make weir` first", err)
	}
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(t.Context(), weirCommand, args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return said{cmd.ProcessState.ExitCode(), out.String(), errs.String()}
}

// TestStatusCommand: `weir status` and `weir reset` against the truth of a scenario.
func TestStatusCommand(t *testing.T) {
	t.Parallel()
	up := map[string]*upstream.Upstream{}
	for _, cluster := range []string{"broken", "limited", "fine", "shadowed"} {
		up[cluster] = upstream.New(t)
	}
	o := options(t, `
clusters:
  broken:   {circuit_breaker: {failure_threshold: 2, recovery_timeout: 1h}, fallback: {default_data: {status: 203, body: sorry}}, retry: {max_attempts: 1}}
  limited:  {rate_limit: {requests: 2, window_size: 3600s}, bulkhead: {max_concurrent: 7}}
  fine:     {rate_limit: {requests: 100}}
  shadowed: {mode: shadow, rate_limit: {requests: 1, window_size: 3600s}}
`, up)
	withAdmin(&o)
	w := startWith(t, o)
	address := w.Addr("weir_admin")
	up["broken"].Set(upstream.Status(503))
	for range 4 { // two fail, which opens it; all four have default data
		w.get("broken", "/")
		w.get("limited", "/")
	}
	w.get("fine", "/")
	w.get("shadowed", "/")
	// What is counted comes to the status a moment later.
	for metric, n := range map[string]float64{
		`weir_requests_total{cluster="broken",decision="allowed"}`:          2,
		`weir_requests_total{cluster="broken",decision="circuit_open"}`:     2,
		`weir_responses_total{cluster="broken",source="default"}`:           4,
		`weir_requests_total{cluster="limited",decision="allowed"}`:         2,
		`weir_requests_total{cluster="limited",decision="rate_limited"}`:    2,
		`weir_requests_total{cluster="shadowed",decision="shadow_allowed"}`: 1,
		`weir_requests_total{cluster="fine",decision="allowed"}`:            1,
		`weir_responses_total{cluster="fine",source="upstream"}`:            1,
		`weir_responses_total{cluster="shadowed",source="upstream"}`:        1,
	} {
		w.WaitMetric(metric, engine.Exactly(n))
	}

	counted := func(t *testing.T, n float64) {
		t.Helper()
		eventually(t, func() error {
			if got := w.sum("weir_responses_total"); got != n {
				return fmt.Errorf("%v answers are counted, want %v", got, n)
			}
			return nil
		})
	}

	t.Run("table", func(t *testing.T) {
		got := runWeir(t, "status", address)
		want := regexp.MustCompile(`^http://` + regexp.QuoteMeta(address) + ` at 2\S+Z, Weir \S+ in weir, Envoy \d+\.\d+\.\d+, since 2\S+Z: 4 clusters, 1 open, 1 limited, 1 shadow, 1 ok
Policy \d+ in force since 2\S+Z

STATE +CLUSTER +REQ/S +SUCCESS +LIMIT +LEFT +IN FLIGHT +ALLOWED +NOT ADMITTED +FALLBACK +RETRIES +WHY
open +broken +0 +0% +2 +2 +4 +0 +opened \d+s ago by 2 failures in a row; the next probe in (1h|59m\d+s)
limited +limited +0 +100% +2/h +0 +0/7 +2 +2 +0 +the limit of 2/h is used up; 2 not admitted so far
shadow +shadowed +0 +100% +1/h +0 +1 +0 +0 +would be limited: the limit of 1/h is used up; 0 not admitted so far
ok +fine +0 +100% +100/min +99 +1 +0 +0

Last changes of circuit breakers:
  2\S+Z broken closed -> open \(consecutive_failures, status 503\)
$`)
		if got.status != 0 || got.err != "" || !want.MatchString(got.out) {
			t.Errorf("got status %d, %s, want 0 and the table, in\n%s", got.status, got.err, got.out)
		}
	})
	t.Run("one cluster", func(t *testing.T) {
		got := runWeir(t, "status", "http://"+address, "broken")
		for _, line := range []string{"circuit breaker  open for ", "transitions      2", "success rate     0%; 2 of the admitted requests failed", "opened 1 times", "requests         2 allowed, 0 rate limited, 2 circuit open", "answers          0 from upstream, 0 cache, 0 stale cache, 4 default"} {
			if got.status != 0 || got.err != "" || !strings.Contains(got.out, line) {
				t.Errorf("got %+v, want status 0 and the line %q", got, line)
			}
		}
	})
	t.Run("json", func(t *testing.T) {
		got := runWeir(t, "status", "--json", address)
		var all map[string]any
		if err := json.Unmarshal([]byte(got.out), &all); err != nil || got.status != 0 {
			t.Fatalf("%v: %+v", err, got)
		}
		own := map[string]any(w.console().status())
		delete(all, "time")
		delete(own, "time")
		retryAfter := cmp.FilterPath(func(p cmp.Path) bool { return strings.Contains(p.String()+p.Last().String(), "retry_after") }, cmp.Ignore())
		if diff := cmp.Diff(own, all, retryAfter); diff != "" {
			t.Errorf("got another status than the server's (-server +weir): %s", diff)
		}
	})
	t.Run("mistakes", func(t *testing.T) {
		defer counted(t, w.sum("weir_responses_total")+1) // one of them asks the traffic listener, which leads to some cluster
		for _, test := range []struct {
			args []string
			want string
		}{
			{[]string{"status", address, "brokn"}, ": no cluster brokn; there are: broken, fine, limited, shadowed\n"},
			{[]string{"reset", address, "fine/../limited"}, ": no cluster fine/../limited; there are: "},
			{[]string{"status", strings.TrimPrefix(w.url, "http://")}, "; its address is what `weir render envoy --weir-admin` was given\n"},
			{[]string{"status", "127.0.0.1:1"}, "weir: http://127.0.0.1:1: no connection: "},
		} {
			if got := runWeir(t, test.args...); got.status != 1 || got.out != "" || !strings.Contains(got.err, test.want) {
				t.Errorf("%v: %+v, want %q", test.args, got, test.want)
			}
		}
	})
	t.Run("watch", func(t *testing.T) { watchTwice(t, address) })
	t.Run("reset", func(t *testing.T) {
		up["broken"].Set(upstream.OK())
		answered := w.sum("weir_responses_total")
		if a := w.get("broken", "/"); a.status != 203 {
			t.Fatalf("before: got %+v, want status 203", a)
		}
		counted(t, answered+1) // or the reset would come before it is
		got := runWeir(t, "reset", address, "broken")
		if want := (said{0, "broken at http://" + address + " is reset: its circuit breaker is closed, its limit is unused, its counts are zero\n", ""}); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
		if a := w.get("broken", "/"); a.status != 200 || a.source() != "upstream" {
			t.Errorf("after: got %+v, want status 200 from upstream", a)
		}
		after := regexp.MustCompile(`(?m)^ok +broken +\S+ +100% +1 +0 +0 `)
		eventually(t, func() error {
			if got := runWeir(t, "status", address); !after.MatchString(got.out + " ") {
				return errors.New("after:\n" + got.out)
			}
			return nil
		})
	})
	t.Run("breaker", func(t *testing.T) {
		for _, step := range []struct {
			action, source string // of a request's answer after it
		}{{"open", "cache"}, {"close", "upstream"}, {"open", "cache"}, {"auto", "upstream"}} {
			got := runWeir(t, "breaker", step.action, address, "broken")
			if got.status != 0 || got.err != "" || !strings.HasPrefix(got.out, "broken at http://"+address+": its circuit breaker ") {
				t.Errorf("%s: got %+v, want status 0", step.action, got)
			}
			if a := w.get("broken", "/"); a.source() != step.source {
				t.Errorf("after %s: got %+v, want an answer from %s", step.action, a, step.source)
			}
		}
	})
	t.Run("invalidate", func(t *testing.T) {
		got := runWeir(t, "cache", "invalidate", address, "limited")
		if got.status != 1 || !strings.Contains(got.err, `refused: 400 the policy of "limited" has no cache`) {
			t.Errorf("a cluster without a cache: got %+v, want status 1 and the reason", got)
		}
		runWeir(t, "breaker", "open", address, "broken")
		if got := runWeir(t, "cache", "invalidate", "--path", "/", address, "broken"); got.status != 0 ||
			got.out != "broken at http://"+address+": its kept answers of / are dropped\n" {
			t.Errorf("got %+v, want status 0", got)
		}
		if a := w.get("broken", "/"); a.source() != "default" {
			t.Errorf("after it: got %+v, want the default data", a)
		}
	})
}

// watchTwice lets --watch write two blocks and then interrupts it, which ends it well.
func watchTwice(t *testing.T, address string) {
	t.Helper()
	out := &lockedBuffer{}
	var errs bytes.Buffer
	cmd := exec.CommandContext(t.Context(), weirCommand, "status", "--watch=100ms", address)
	cmd.Stdout, cmd.Stderr = out, &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		if text := out.String(); strings.Count(text, "open     broken") < 2 {
			return errors.New("no two blocks: " + text)
		}
		return nil
	})
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	interrupted := time.Now()
	if err := cmd.Wait(); err != nil || errs.Len() > 0 {
		t.Errorf("got %v %s, want a clean end", err, errs.String())
	}
	if took := time.Since(interrupted); took > 5*time.Second {
		t.Errorf("it took %v to end, want at most 5 s", took)
	}
}

// lockedBuffer is written by a process and read at the same time.
type lockedBuffer struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.all.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.all.String()
}
