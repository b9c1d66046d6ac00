package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/weir-mesh/weir/e2e/load"
	"github.com/weir-mesh/weir/e2e/upstream"
)

// killedRetries are the scenarios of a primary region that is killed, by the cluster's name: without retries, and with
// those of the filter, which go to the other region.
var killedRetries = map[string]string{"alone": "", "retried": ", " + retryRules("filter", "base_delay: 20ms")}

// killedRecovery is after which time the primary is probed, and killedFor how long it is dead.
const killedRecovery, killedFor = 500 * time.Millisecond, 2 * time.Second

// killed is the policy of these clusters, and starts their upstreams.
func killed(t *testing.T, upstreams map[string]*upstream.Upstream) (policy string) {
	for name, retry := range killedRetries {
		policy += fmt.Sprintf("  %[1]s: {circuit_breaker: {failure_threshold: 5, recovery_timeout: %[2]v, success_threshold: 3}, failover: {to: [%[1]s-away]}%[3]s}\n", name, killedRecovery, retry)
		policy += fmt.Sprintf("  %s-away: {circuit_breaker: {}}\n", name)
		for _, region := range []string{name, name + "-away"} {
			upstreams[region] = upstream.New(t)
			upstreams[region].Set(upstream.Body(region).After(5 * time.Millisecond))
		}
	}
	return policy
}

// killedUnderLoad kills the primary region under load and starts it again: how many requests fail, and for how long.
func killedUnderLoad(t *testing.T, w *weir, name string, home, away *upstream.Upstream) {
	const rate, clients = 200, 16
	done := make(chan load.Answers)
	go func() {
		done <- load.Run(t, load.Plan{URL: w.url, Host: name, Connections: clients, Duration: 5 * time.Second, Rate: rate})
	}()
	home.WaitCount(rate / 2)
	died := time.Now()
	home.Refuse()
	time.Sleep(killedFor) // the scenario, and not a wait for something
	home.Accept()
	restarted := time.Now()
	answers := <-done

	var failed []time.Duration
	before, during, after := 0, 0, 0 // answers of the other region
	var lastAway time.Time
	for _, a := range answers {
		switch {
		case a.Err != nil || a.Status != 200:
			failed = append(failed, a.End.Sub(died))
			if a.End.Before(died) || a.Start.After(restarted.Add(time.Second)) {
				t.Errorf("a request failed %v after the kill: %d %v", a.End.Sub(died), a.Status, a.Err)
			}
		case a.Body != name+"-away":
		case a.End.Before(died):
			before++
		default:
			during++
			if a.Start.After(lastAway) {
				lastAway = a.Start
			}
			if a.Start.After(restarted.Add(killedRecovery + time.Second)) {
				after++
			}
		}
	}
	slices.Sort(failed)
	span := time.Duration(0)
	first := "none"
	if len(failed) > 0 {
		span = failed[len(failed)-1]
		first = fmt.Sprint(failed[0].Round(ms))
	}
	t.Logf("%s: the primary was dead for %v; %d of %d requests failed, the first %v after its end, the last %v after; the other region answered %d, the last %v after the primary was back",
		name, restarted.Sub(died).Round(ms), len(failed), len(answers), first, span.Round(ms), during, lastAway.Sub(restarted).Round(ms))
	if before != 0 || after != 0 {
		t.Errorf("the other region answered %d requests before the primary was killed and %d long after its restart, want 0 and 0", before, after)
	}
	// Probes are not tried again: at most 3 each half second. What was on its way and the failures that open the
	// breaker fail as well where nothing is retried.
	most := 3 * int(killedFor/killedRecovery+1)
	if name == "alone" {
		most += clients + 5
	}
	if len(failed) > most {
		t.Errorf("got %d failed requests, want at most %d", len(failed), most)
	}
	if least := int(killedFor.Seconds() * rate / 2); during < least || away.Count() < during {
		t.Errorf("the other region answered %d of the %d requests that it got, want at least %d", during, away.Count(), least)
	}
	if len(answers.With(http.StatusOK)) == 0 || home.Count() < rate {
		t.Errorf("the primary got %d requests, want a second's worth or more", home.Count())
	}
}
