package request_test

import (
	"slices"
	"testing"

	"github.com/weir-mesh/weir/filter/internal/request"
	"github.com/weir-mesh/weir/filter/internal/requesttest"
	"github.com/weir-mesh/weir/sharedstate"
)

// TestRouteCheck: the first request and one of 64 are checked, and after one that went elsewhere the next 1,024.
func TestRouteCheck(t *testing.T) {
	var c request.RouteCheck
	for _, tc := range []struct {
		what          string
		watch         bool
		asked, wanted int
	}{
		{"the first", false, 1, 1},
		{"the next 63", false, 63, 0},
		{"640 more", false, 640, 10},
		{"after one that went elsewhere", true, 1024, 1024},
		{"640 more", false, 640, 10},
	} {
		if tc.watch {
			c.Watch()
		}
		due := 0
		for range tc.asked {
			if c.Due() {
				due++
			}
		}
		if due != tc.wanted {
			t.Errorf("%s: of %d requests %d are due, want %d", tc.what, tc.asked, due, tc.wanted)
		}
	}
}

// TestMisrouted: aws decides about a request that goes to eu. Its outcome counts for eu's breaker alone, what aws admitted
// is given back, and neither's fallback answers.
func TestMisrouted(t *testing.T) {
	const policies = `{"clusters":{
		"aws":{"circuit_breaker":{"failure_threshold":3},"bulkhead":{"max_concurrent":5},"retry":{"driver":"envoy"},"fallback":{"default_data":{"body":"aws"}}},
		"eu":{"circuit_breaker":{"failure_threshold":3,"recovery_timeout":"1h"}}}}`
	type response struct {
		status       int
		details, end string // end: response.code_details at the end of the stream, "": it ends well
	}
	for _, tc := range []struct {
		name      string
		responses []response
		to        string // "": it has no policy
		want      string // eu's breaker
		failures  uint32 // of eu in a row
	}{
		{"failures", []response{{500, up, ""}, {503, up, ""}}, "eu", "closed", 2},
		{"as many as open it, and one more", []response{{500, up, ""}, {500, up, ""}, {500, up, ""}, {500, up, ""}}, "eu", "open", 0},
		{"a success between", []response{{500, up, ""}, {200, up, ""}, {500, up, ""}}, "eu", "closed", 1},
		{"a body that breaks off", []response{{200, up, "upstream_reset_after_response_started{remote_reset}"}}, "eu", "closed", 1},
		{"another filter's answer", []response{{403, "rbac_access_denied", ""}}, "eu", "closed", 0},
		{"to one without a policy", []response{{500, up, ""}}, "", "closed", 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := startRegions(t, policies)
			for i, resp := range tc.responses {
				req := &request.Request{}
				if step := req.Begin(r.clusters["aws"], &request.Incoming{}, r.Now); step.Kind != request.Continue {
					t.Fatalf("request %d: got step %v, want it to pass", i, step.Kind)
				}
				answer := request.Response{Status: resp.status, Details: resp.details, GRPC: -1}
				if resp.status >= 500 && !req.ChecksRoute(&answer) {
					t.Errorf("request %d, a failure: ChecksRoute = false, want true", i)
				}
				to := r.clusters[tc.to]
				if to != nil {
					to = request.NewLearner(tc.to, request.Named{}, r.document.For(tc.to), r.Worker, nil, r.Observer)
				}
				req.Misrouted(to, nil, r.Now)
				if step := req.Respond(&answer, r.Now); step.Kind != request.Continue {
					t.Errorf("request %d: got step %v, want the response to pass", i, step.Kind)
				}
				if resp.end == "" {
					req.End(-1, r.Now)
				}
				req.Gone(resp.end, 1, r.Now)
				if req.Unsettled() {
					t.Errorf("request %d: got it unsettled at its end", i)
				}
			}
			for name, want := range map[string]struct {
				state    string
				failures uint32
			}{"aws": {"closed", 0}, "eu": {tc.want, tc.failures}} {
				c := r.clusters[name]
				if _, err := c.LoadRecord(); err != nil {
					t.Fatal(err)
				}
				b := c.Record().Breaker
				if got := b.Status.String(); got != want.state || b.Failures != want.failures {
					t.Errorf("%s's breaker: got %s, %d failures in a row, want %s, %d", name, got, b.Failures, want.state, want.failures)
				}
			}
			if b := r.clusters["aws"].Record().Bulkhead; b.Size() != 0 {
				t.Errorf("aws's bulkhead: got %+v in flight, want none", b)
			}
			if slices.ContainsFunc(r.Observer.Events, func(e string) bool { return e == "response from default" }) {
				t.Errorf("got events %q, want no fallback", r.Observer.Events)
			}
		})
	}
}

// TestMisroutedReachesAdaptiveLimits: failures of misrouted requests lower the adaptive limit of the cluster that they went
// to, as a whole or that of their key, and take nothing from it.
func TestMisroutedReachesAdaptiveLimits(t *testing.T) {
	const limit = `"algorithm":"adaptive","requests":100,"window_size":"60s","backoff_factor":0.5,"adaptive_min_samples":2,"adaptive_interval":"1s"`
	for _, tc := range []struct {
		name, eu string
		keys     []uint64 // of four requests that went to eu
		asks     uint64   // the key of the request after them
		want     int      // the limit by then
	}{
		{"alone", `{"rate_limit":{` + limit + `}}`, []uint64{0, 0, 0, 0}, 0, 50},
		{"with a breaker", `{"rate_limit":{` + limit + `},"circuit_breaker":{"failure_threshold":9}}`, []uint64{0, 0, 0, 0}, 0, 50},
		{"by key", `{"rate_limit":{` + limit + `,"key":["client_ip"]}}`, []uint64{7, 7, 7, 7}, 7, 50},
		{"another key", `{"rate_limit":{` + limit + `,"key":["client_ip"]}}`, []uint64{7, 7, 7, 7}, 8, 100},
		{"in shadow", `{"mode":"shadow","rate_limit":{` + limit + `}}`, []uint64{0, 0, 0, 0}, 0, 50},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := startRegions(t, `{"clusters":{"aws":{"circuit_breaker":{}},"eu":`+tc.eu+`}}`)
			learner := request.NewLearner("eu", request.Named{}, r.document.For("eu"), r.Worker, nil, r.Observer)
			for i, key := range tc.keys {
				req := &request.Request{}
				req.Begin(r.clusters["aws"], &request.Incoming{}, r.Now)
				req.Misrouted(learner, func(*request.Cluster) sharedstate.Fingerprint { return sharedstate.Fingerprint{Lo: key} }, r.Now)
				if step := req.Respond(&request.Response{Status: 500, Details: up, GRPC: -1, Ended: true}, r.Now); step.Kind != request.Continue {
					t.Fatalf("request %d: got step %v, want the response to pass", i, step.Kind)
				}
				req.Gone("", 1, r.Now)
				if req.Unsettled() {
					t.Errorf("request %d: got it unsettled at its end", i)
				}
				r.Now += 400 * ms
			}
			r.Now += 1000 * ms
			req := &request.Request{}
			req.Begin(r.clusters["eu"], &request.Incoming{Key: sharedstate.Fingerprint{Lo: tc.asks}}, r.Now)
			if got := req.Remaining() + 1; got != tc.want {
				t.Errorf("the limit of eu after failures: got %d, want %d", got, tc.want)
			}
		})
	}
	for _, rules := range []string{
		`{}`, `{"bulkhead":{}}`, `{"rate_limit":{"requests":5}}`,
		`{"rate_limit":{"algorithm":"adaptive","key":["client_ip",{"header":"x-api-key"}]}}`, `{"retry":{}}`,
	} {
		d := requesttest.Decode(t, `{"clusters":{"eu":`+rules+`}}`)
		if got := request.NewLearner("eu", request.Named{}, d.For("eu"), nil, nil, nil); got != nil {
			t.Errorf("NewLearner(%s): got one, want none, since nothing learns from outcomes", rules)
		}
	}
}
