package render

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/weir-mesh/weir/policy"
)

// Hosts are checked where their cluster has a breaker, by the same numbers.
func TestHealth(t *testing.T) {
	type shape struct {
		Panic                      float64
		Check                      string
		Failures                   uint32
		Ejected, Longest, Answered string
	}
	const one = `{"failure_threshold": 4, "recovery_timeout": "20s", "max_recovery_timeout": "80s"}`
	for name, test := range map[string]struct {
		policy string
		path   string
		want   shape
	}{
		"no breaker":             {`{"retry": {}}`, "", shape{}},
		"no breaker, but a path": {`{}`, "/healthz", shape{}},
		"mode off":               {`{"mode": "off", "circuit_breaker": {}}`, "", shape{}},
		"by connecting":          {`{"circuit_breaker": ` + one + `}`, "", shape{50, "connect", 4, "20s", "1m20s", "false"}},
		"by a path":              {`{"circuit_breaker": ` + one + `}`, "/healthz", shape{50, "/healthz", 4, "20s", "1m20s", "true"}},
		"shadow":                 {`{"mode": "shadow", "circuit_breaker": {}}`, "", shape{50, "connect", 5, "1m0s", "1m0s", "false"}},
	} {
		t.Run(name, func(t *testing.T) {
			o := options()
			o.Upstreams[0].HealthPath = test.path
			o.Policy = fmt.Appendf(nil, `{"clusters": {"aws": %s}}`, test.policy)
			c := mustBootstrap(t, o).GetStaticResources().GetClusters()[0]
			var got shape
			for _, check := range c.GetHealthChecks() {
				got.Check = check.GetHttpHealthCheck().GetPath()
				if check.GetTcpHealthCheck() != nil {
					got.Check = "connect"
				}
			}
			if outlier := c.GetOutlierDetection(); outlier != nil {
				got.Panic = c.GetCommonLbConfig().GetHealthyPanicThreshold().GetValue()
				got.Failures = outlier.GetConsecutive_5Xx().GetValue()
				got.Ejected = outlier.GetBaseEjectionTime().AsDuration().String()
				got.Longest = outlier.GetMaxEjectionTime().AsDuration().String()
				got.Answered = fmt.Sprint(outlier.GetSuccessfulActiveHealthCheckUnejectHost().GetValue())
				if most := outlier.GetMaxEjectionPercent().GetValue(); most > 100-uint32(got.Panic) {
					t.Errorf("got up to %d %% ejected, want at most %g %%: more is a panic, which undoes ejections", most, 100-got.Panic)
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A default policy applies to clusters that requests go to, not to Redis.
func TestRedisHasNoPolicy(t *testing.T) {
	o := options()
	o.Policy, o.Redis = []byte(`{"default": {"circuit_breaker": {}}}`), &Upstream{Name: "redis", Host: "127.0.0.1", Port: 7379}
	for _, c := range mustBootstrap(t, o).GetStaticResources().GetClusters() {
		if checked := c.GetHealthChecks() != nil && c.GetOutlierDetection() != nil; checked != (c.GetName() != "redis") {
			t.Errorf("%s: got health checks %t, want %t", c.GetName(), checked, !checked)
		}
	}
}

func TestStatusRanges(t *testing.T) {
	for list, want := range map[string]string{
		`["5xx"]`:               "[500 600) ",
		`["reset"]`:             "",
		`["429", "5xx"]`:        "[429 430) [500 600) ",
		`["4xx", "5xx"]`:        "[400 600) ",
		`["500", "502", "503"]`: "[500 501) [502 504) ",
		`["100", "599"]`:        "[100 101) [599 600) ",
	} {
		d, err := policy.Decode(fmt.Appendf(nil, `{"default": {"circuit_breaker": {"expected_failures": %s}}}`, list), nil)
		if err != nil {
			t.Fatal(err)
		}
		failures := &d.Default.CircuitBreaker.ExpectedFailures
		got := ""
		for _, r := range statusRanges(failures) {
			got += fmt.Sprintf("[%d %d) ", r.GetStart(), r.GetEnd())
		}
		if got != want {
			t.Errorf("%s: got %s, want %s", list, got, want)
		}
		if matcher := errorMatcher(failures); (matcher == nil) != (list == `["5xx"]`) {
			t.Errorf("%s: got error matcher %v, want none only for 5xx", list, matcher)
		}
	}
}
