package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/weir-mesh/weir/e2e/engine"
	"github.com/weir-mesh/weir/e2e/upstream"
	"github.com/weir-mesh/weir/envoy/policyfile"
	"github.com/weir-mesh/weir/filter/adminapi"
	"github.com/weir-mesh/weir/policy"
)

// TestUnmatched: which clusters and patterns of the policy no request has come to, on status, command and metric: names that are
// misspelled look like that. And the version of a policy that is refused.
func TestUnmatched(t *testing.T) {
	t.Parallel()
	u := upstream.New(t)
	const clusters = `clusters: {aws: {circuit_breaker: {}}, unused: {bulkhead: {}}, idle: {mode: "off"}, "team-*": {circuit_breaker: {}}, "*-typo": {bulkhead: {}}}`
	w := startWatched(t, clusters, map[string]*upstream.Upstream{"aws": u, "unused": u, "idle": u, "team-1": u}, withAdmin)
	c := w.console()
	status := func() (s adminapi.Status, err error) {
		a := c.ask(http.MethodGet, "/status", "")
		err = json.Unmarshal([]byte(a.body), &s)
		return s, err
	}
	wait := func(patterns []string, unseen ...string) {
		t.Helper()
		eventually(t, func() error {
			s, err := status()
			if err != nil || len(s.Policies) == 0 {
				return fmt.Errorf("got %+v, %w, want a policy", s, err)
			}
			var got []string
			for name, cluster := range s.Clusters {
				if cluster.Unseen {
					got = append(got, name)
				}
			}
			slices.Sort(got)
			if !slices.Equal(s.Policies[0].Unmatched, patterns) || !slices.Equal(got, unseen) {
				return fmt.Errorf("got patterns %q and clusters %q without a request, want %q and %q", s.Policies[0].Unmatched, got, patterns, unseen)
			}
			return nil
		})
		w.WaitMetric("weir_policy_unmatched_patterns", engine.Exactly(float64(len(patterns))))
	}
	wait([]string{"*-typo", "team-*"}, "aws", "unused")
	for _, cluster := range []string{"aws", "team-1", "idle"} {
		for range 4 { // to both workers
			if a := w.get(cluster, "/"); a.status != 200 {
				t.Fatalf("got %+v, want status 200", a)
			}
		}
	}
	wait([]string{"*-typo"}, "unused")
	said := runWeir(t, "status", c.url).out
	for _, want := range []string{"No request has matched *-typo\n", "no request since Envoy's start: is this the name of one of its clusters?"} {
		if strings.Count(said, want) != 1 {
			t.Errorf("weir status says %q %d times, want once:\n%s", want, strings.Count(said, want), said)
		}
	}

	const bad = `clusters: {aws: {nonsense: 1}}`
	document, err := policyfile.JSON([]byte(bad))
	if err != nil {
		t.Fatal(err)
	}
	_, err = policy.Decode(document, func(string) (string, bool) { return "", false })
	var mistakes *policy.Mistakes
	if !errors.As(err, &mistakes) {
		t.Fatalf("got %v, want mistakes", err)
	}
	w.replace(bad, "config_fail")
	version := policy.Version(mistakes.Hash)
	eventually(t, func() error {
		s, err := status()
		if err != nil || s.Refused == nil || s.Refused.Version != version {
			return fmt.Errorf("got policy_refused %+v, %w, want version %d", s.Refused, err, version)
		}
		return nil
	})
	if said := runWeir(t, "status", c.url).out; !strings.Contains(said, fmt.Sprintf("Policy %d was refused at ", version)) {
		t.Errorf("weir status does not say that policy %d was refused:\n%s", version, said)
	}
	w.WaitLog(fmt.Sprintf("policy %d is refused by these mistakes", version))
	wait([]string{"*-typo"}, "unused")
}
