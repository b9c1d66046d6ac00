package render

import (
	"fmt"
	"math"
	"testing"
	"time"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"github.com/google/go-cmp/cmp"
)

// The filter says for each request what the router retries; the route has only the delays.
func TestBackOff(t *testing.T) {
	for name, test := range map[string]struct {
		retry     string
		base, max time.Duration // 0: the route has no back-off
	}{
		"driver envoy":         {`{"base_delay": "100ms", "max_delay": "3s"}`, 100 * time.Millisecond, 3 * time.Second},
		"its defaults":         {`{}`, time.Second, time.Minute},
		"no room between":      {`{"base_delay": 2, "max_delay": 2}`, 2 * time.Second, 2 * time.Second},
		"driver filter":        {`{"driver": "filter"}`, 0, 0},
		"driver of a variable": {`{"driver": "${DRIVER}"}`, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			o := options()
			o.Env = map[string]string{"DRIVER": "filter"}
			o.Policy = fmt.Appendf(nil, `{"clusters": {"aws": {"retry": %s}}}`, test.retry)
			bootstrap := mustBootstrap(t, o)
			retry := connectionManager(t, bootstrap).GetRouteConfig().GetVirtualHosts()[0].GetRoutes()[0].GetRoute().GetRetryPolicy()
			// Also without a retry section: a reload may add one.
			if got := bootstrap.GetStaticResources().GetClusters()[0].GetCircuitBreakers().GetThresholds()[0].GetMaxRetries().GetValue(); got != math.MaxUint32 {
				t.Errorf("got at most %d concurrent retries, want %d", got, uint32(math.MaxUint32))
			}
			if test.base == 0 {
				if retry != nil {
					t.Errorf("got retry policy %v, want none", retry)
				}
				return
			}
			if got := retry.GetRetryBackOff(); got.GetBaseInterval().AsDuration() != test.base || got.GetMaxInterval().AsDuration() != test.max {
				t.Errorf("back-off: got %v, want %s to %s", got, test.base, test.max)
			}
			limited := retry.GetRateLimitedRetryBackOff()
			if len(limited.GetResetHeaders()) != 1 || limited.GetResetHeaders()[0].GetName() != "retry-after" ||
				limited.GetResetHeaders()[0].GetFormat() != routev3.RetryPolicy_SECONDS || limited.GetMaxInterval().AsDuration() != test.max {
				t.Errorf("Retry-After: got %v, want the header in seconds up to %s", limited, test.max)
			}
			if retry.GetRetryOn() != "" || retry.GetNumRetries() != nil || retry.GetPerTryTimeout() != nil {
				t.Errorf("got retry policy %v, want only delays", retry)
			}
		})
	}
}

func TestFailoverRoutes(t *testing.T) {
	o := everything(t)
	o.LDS = ""
	type shape struct{ Name, Header, Equals, Cluster string }
	got := map[string][]shape{}
	for _, host := range connectionManager(t, mustBootstrap(t, o)).GetRouteConfig().GetVirtualHosts() {
		for _, route := range host.GetRoutes() {
			s := shape{Name: route.GetName(), Cluster: route.GetRoute().GetCluster()}
			for _, header := range route.GetMatch().GetHeaders() {
				s.Header, s.Equals = header.GetName(), header.GetStringMatch().GetExact()
			}
			got[host.GetName()] = append(got[host.GetName()], s)
		}
	}
	want := map[string][]shape{
		"primary": {
			{"primary/second", "x-weir-cluster", "second", "second"},
			{"primary/third", "x-weir-cluster", "third", "third"},
			{"primary", "", "", "primary"},
		},
		"second":  {{"second/primary", "to-region", "primary", "primary"}, {"second", "", "", "second"}},
		"third":   {{"third", "", "", "third"}},
		"public":  {{"public", "", "", "public"}},
		"private": {{"private", "", "", "private"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// The one list of a pattern may contain all of its clusters: no cluster fails over to itself.
func TestFailoverOfAPattern(t *testing.T) {
	o := options()
	o.Policy = []byte(`{"clusters": {"*": {"failover": {"to": ["aws", "quotes"]}}}}`)
	var got []string
	for _, host := range connectionManager(t, mustBootstrap(t, o)).GetRouteConfig().GetVirtualHosts() {
		for _, route := range host.GetRoutes() {
			got = append(got, route.GetName())
		}
	}
	if diff := cmp.Diff([]string{"aws/quotes", "aws", "quotes/aws", "quotes"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestStrippedHeaders(t *testing.T) {
	own := func(more ...string) []string {
		return append([]string{"x-weir-*", "x_weir_*", "x-weir_*", "x_weir-*"}, more...)
	}
	for name, test := range map[string]struct {
		policy string
		want   []string
	}{
		"without a policy":         {`{"clusters": {}}`, own()},
		"with mistakes":            {`{"clusters": []}`, own()},
		"a header of Weir's own":   {`{"clusters": {"aws": {"failover": {"to": ["quotes"], "header": "X-Weir-Region"}}}}`, own()},
		"others, in mode off too":  {`{"clusters": {"b*": {"mode": "off", "failover": {"to": ["aws"], "header": "Y"}}}, "default": {"failover": {"to": ["aws"], "header": "x"}}}`, own("x", "y")},
		"the same for two of them": {`{"clusters": {"aws": {"failover": {"to": ["quotes"], "header": "x"}}, "quotes": {"failover": {"to": ["aws"], "header": "x"}}}}`, own("x")},
		"Weir's own, with _":       {`{"clusters": {"aws": {"failover": {"to": ["quotes"], "header": "x_weir-region"}}}}`, own()},
		"with - or _":              {`{"clusters": {"aws": {"failover": {"to": ["quotes"], "header": "x-my_region.1"}}}}`, own(`x[-_]my[-_]region\.1`)},
	} {
		t.Run(name, func(t *testing.T) {
			o := options()
			o.Policy = []byte(test.policy)
			strip, err := StripClientHeaders(o.withDefaults().Document)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, m := range mutations(t, strip.GetTypedConfig()) {
				switch key := m.GetRemoveOnMatch().GetKeyMatcher(); {
				case key.GetPrefix() != "":
					got = append(got, key.GetPrefix()+"*")
				case key.GetSafeRegex() != nil:
					got = append(got, key.GetSafeRegex().GetRegex())
				default:
					got = append(got, m.GetRemove())
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
