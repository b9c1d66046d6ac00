package request_test

import (
	"testing"

	"github.com/weir-mesh/weir/filter/internal/request"
	"github.com/weir-mesh/weir/filter/internal/requesttest"
	"github.com/weir-mesh/weir/policy"
	"github.com/weir-mesh/weir/sharedstate"
)

// regions is one worker with the clusters aws, eu and us, which fail over to each other.
type regions struct {
	*requesttest.Proxy
	clusters map[string]*request.Cluster
	document *policy.Document
}

func startRegions(t *testing.T, document string) *regions {
	t.Helper()
	d := requesttest.Decode(t, document)
	w, o := requesttest.NewWorker(t, sharedstate.NewMemory()), &requesttest.Observer{}
	r := &regions{&requesttest.Proxy{TB: t, Worker: w, Observer: o, Now: 3600 * 1000 * ms}, map[string]*request.Cluster{}, d}
	for _, name := range []string{"aws", "eu", "us"} {
		rules := d.For(name)
		if rules == nil {
			rules = &policy.Policy{}
		}
		r.clusters[name] = request.NewCluster(name, rules, w, nil, nil, o)
		r.clusters[name].FindClustersBy(func(name string) *request.Cluster { return r.clusters[name] })
	}
	return r
}

// send sends one request to a cluster, and returns where it goes, as in "eu", or why it is refused, as in
// "eu circuit_open".
// Upstream responds with this status.
func (r *regions) send(cluster string, status int) string {
	req := &request.Request{}
	c := r.clusters[cluster]
	step := req.Begin(c, &request.Incoming{}, r.Now)
	if step.Kind == request.Failover {
		cluster = requesttest.Header(step.Set, "x-weir-cluster")
		if c = r.clusters[cluster]; c != step.To {
			r.Fatalf("failover: got x-weir-cluster %s and the cluster %s, want the same", cluster, step.To.Name())
		}
		step = req.Begin(c, &request.Incoming{FailedOver: true}, r.Now)
	}
	switch step.Kind {
	case request.Continue:
		req.Respond(&request.Response{Status: status, Details: up, GRPC: -1}, r.Now)
		req.End(-1, r.Now)
		return cluster
	case request.SendReply:
		return cluster + " " + requesttest.Header(step.Reply.Headers, "x-weir-reason")
	default:
		return requesttest.Outcome(step)
	}
}

func TestFailover(t *testing.T) {
	const breaker = `"circuit_breaker":{"failure_threshold":1,"recovery_timeout":"10s","half_open_max_calls":1,"success_threshold":1}`
	r := startRegions(t, `{"clusters":{
		"aws":{`+breaker+`,"failover":{"to":["eu","us"]}},
		"eu":{`+breaker+`,"rate_limit":{"requests":3,"window_size":"3600s"},"failover":{"to":["aws"]}}}}`)
	steps := []struct {
		after  int64 // milliseconds
		to     string
		status int
		want   string
	}{
		{0, "aws", 200, "aws"},
		{0, "aws", 500, "aws"},
		{0, "aws", 200, "eu"},
		{0, "aws", 500, "eu"},
		{0, "aws", 500, "us"}, // eu's breaker is open as well, and us has no policy
		{0, "eu", 200, "eu circuit_open"},
		{9_000, "aws", 200, "us"},
		{1_000, "aws", 500, "aws"}, // aws's recovery timeout is over: it gets a probe
		{0, "aws", 200, "eu"},      // eu's probe
		{0, "aws", 200, "eu rate_limited"},
		{10_000, "aws", 200, "aws"},
		{0, "aws", 200, "aws"},
	}
	for i, m := range steps {
		r.Now += m.after * ms
		if got := r.send(m.to, m.status); got != m.want {
			t.Errorf("request %d: got %s, want %s", i, got, m.want)
		}
	}
}

// TestMisroutedFailover: no request fails over for 10 s after one went to another cluster than the header says.
func TestMisroutedFailover(t *testing.T) {
	r := startRegions(t, `{"clusters":{"aws":{"circuit_breaker":{"failure_threshold":1},"failover":{"to":["eu"]}}}}`)
	r.send("aws", 500)
	if got := r.send("aws", 200); got != "eu" {
		t.Fatalf("got %s, want eu", got)
	}
	r.clusters["aws"].StopFailover(r.Now)
	for _, m := range []struct {
		after int64
		want  string
	}{{0, "aws circuit_open"}, {9_999, "aws circuit_open"}, {1, "eu"}} {
		r.Now += m.after * ms
		if got := r.send("aws", 200); got != m.want {
			t.Errorf("%d ms later: got %s, want %s", m.after, got, m.want)
		}
	}
}

// TestShadowDoesNotFailOver: a policy in shadow leaves requests where they are.
func TestShadowDoesNotFailOver(t *testing.T) {
	r := startRegions(t, `{"clusters":{"aws":{"mode":"shadow","circuit_breaker":{"failure_threshold":1},"failover":{"to":["eu"]}}}}`)
	r.send("aws", 500)
	if got := r.send("aws", 200); got != "aws" {
		t.Errorf("got %s, want aws", got)
	}
}
