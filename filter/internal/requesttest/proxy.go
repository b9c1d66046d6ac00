package requesttest

import (
	"strings"
	"testing"
	"time"

	"github.com/weir-mesh/weir/filter/internal/localreply"
	"github.com/weir-mesh/weir/filter/internal/outcome"
	"github.com/weir-mesh/weir/filter/internal/request"
	"github.com/weir-mesh/weir/filter/internal/worker"
	"github.com/weir-mesh/weir/policy"
	"github.com/weir-mesh/weir/policy/header"
	"github.com/weir-mesh/weir/sharedstate"
)

// Response code details as Envoy 1.40 writes them.
const (
	Upstream   = outcome.DetailsUpstream
	ClientLeft = "downstream_remote_disconnect"
)

// Proxy is one worker of a proxy, with the cluster aws.
type Proxy struct {
	testing.TB
	Worker   *worker.Worker
	Cluster  *request.Cluster
	Observer *Observer
	Now      int64 // nanoseconds
}

// Start starts a proxy whose cluster has this policy.
func Start(t testing.TB, rules string) *Proxy {
	t.Helper()
	return StartOn(t, rules, sharedstate.NewMemory())
}

// StartOn starts a proxy's worker, whose store other workers share.
func StartOn(t testing.TB, rules string, store sharedstate.Store) *Proxy {
	t.Helper()
	document, o := Decode(t, `{"clusters":{"aws":`+rules+`}}`), &Observer{}
	w := NewWorker(t, store)
	return &Proxy{t, w, request.NewCluster("aws", document.For("aws"), w, nil, nil, o), o, int64(time.Hour)}
}

// NewWorker registers a worker in a store.
func NewWorker(t testing.TB, store sharedstate.Store) *worker.Worker {
	t.Helper()
	w, err := worker.New(store, nil, [16]byte{1})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// Decode reads a policy document. Where the filter makes the retries and no via is given, there is one.
func Decode(t testing.TB, document string) *policy.Document {
	t.Helper()
	if !strings.Contains(document, `"via"`) {
		document = strings.ReplaceAll(document, `"driver":"filter"`, `"driver":"filter","via":"weir_attempts"`)
	}
	d, err := policy.Decode([]byte(document), func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// Begin begins a request.
func (p *Proxy) Begin(in request.Incoming) (*request.Request, request.Step) {
	r := &request.Request{}
	return r, r.Begin(p.Cluster, &in, p.Now)
}

// RoundTrip begins a request, and sends it a response that ends at once. It returns the step of the refusal, or else of
// the response.
func (p *Proxy) RoundTrip(details string, status int) request.Step {
	r, step := p.Begin(request.Incoming{})
	if step.Kind == request.SendReply {
		return step
	}
	step = r.Respond(&request.Response{Status: status, Details: details, GRPC: outcome.NoGRPC}, p.Now)
	r.End(outcome.NoGRPC, p.Now)
	r.Gone(details, 0, p.Now)
	return step
}

// Header is the values under a name, joined by commas.
func Header(headers []header.Pair, name string) string {
	var values []string
	for _, h := range headers {
		if h[0] == name {
			values = append(values, h[1])
		}
	}
	return strings.Join(values, ", ")
}

// Headers implements header.Headers.
type Headers []header.Pair

// All implements header.Headers.
func (hs Headers) All(yield func(name, value string) bool) {
	for _, h := range hs {
		if !yield(h[0], h[1]) {
			return
		}
	}
}

// Reply is the step's local reply, an empty one where it has none.
func Reply(step request.Step) localreply.Reply {
	if step.Reply == nil {
		return localreply.Reply{}
	}
	return *step.Reply
}
