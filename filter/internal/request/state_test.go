package request_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"

	"github.com/weir-mesh/weir/filter/internal/request"
	"github.com/weir-mesh/weir/filter/internal/requesttest"
	"github.com/weir-mesh/weir/filter/internal/stage"
	"github.com/weir-mesh/weir/sharedstate"
)

// allStages is a policy that takes a request through every state: each attempt waits for Redis, and one retry follows.
const allStages = `{"circuit_breaker":{"failure_threshold":100},"bulkhead":{"max_concurrent":1},
	"retry":{"driver":"filter","max_attempts":2,"base_delay":"10ms","jitter":false},
	"rate_limit":{"requests":1000,"window_size":"1s","scope":"mesh","lease":{"max_tokens":1}}}`

// driven is a request under test.
type driven struct {
	*requesttest.MeshProxy
	request *request.Request
	store   *sharedstate.Memory
}

// events are all kinds of events. Upstream fails in each that has a response.
var events = []struct {
	name string
	send func(d *driven) request.Step
}{
	{"begins", func(d *driven) request.Step {
		return d.request.Begin(d.Cluster, &request.Incoming{Retry: true, Stream: 1}, d.Now)
	}},
	{"decided", func(d *driven) request.Step {
		d.Client.MakeCalls(d.Now)
		d.Answer()
		d.request.Decided(stage.Verdict{}, d.Now) // once more
		return request.Step{}
	}},
	{"responds", func(d *driven) request.Step {
		return d.request.Respond(&request.Response{Status: 503, Details: up, GRPC: -1}, d.Now)
	}},
	{"responds, may be retried", func(d *driven) request.Step {
		return d.request.Respond(&request.Response{Status: 503, Details: up, GRPC: -1, Replayable: true}, d.Now)
	}},
	{"due", func(d *driven) request.Step { return d.request.Due(nil, d.Now) }},
	{"attempt ended", func(d *driven) request.Step {
		return d.request.AttemptEnded(&request.AttemptResult{Status: 503, Details: up}, d.Now)
	}},
	{"ends", func(d *driven) request.Step {
		d.request.End(-1, d.Now)
		return request.Step{}
	}},
	{"gone", func(d *driven) request.Step {
		d.request.Gone(requesttest.ClientLeft, 0, d.Now)
		return request.Step{}
	}},
}

func (d *driven) send(event string) request.Step {
	d.Helper()
	d.Now += ms
	for _, e := range events {
		if e.name == event {
			return e.send(d)
		}
	}
	d.Fatalf("no event %q", event)
	return request.Step{}
}

// record is the cluster's, as it is stored.
func (d *driven) record() (r sharedstate.Record) {
	d.Helper()
	if _, err := sharedstate.NewCell(d.store, sharedstate.ClusterKey("aws"), &r).Load(); err != nil {
		d.Fatal(err)
	}
	return r
}

// reach are the events that take a request to a state, from Idle.
var reach = map[request.State][]string{
	request.Idle:       nil,
	request.Waiting:    {"begins"},
	request.Sent:       {"begins", "decided"},
	request.Responding: {"begins", "decided", "responds"},
	request.Backoff:    {"begins", "decided", "responds, may be retried"},
	request.Queued:     {"begins", "decided", "responds, may be retried", "due"},
	request.Retrying:   {"begins", "decided", "responds, may be retried", "due", "decided"},
	request.Replied:    {"begins", "decided", "responds, may be retried", "due", "decided", "attempt ended"},
	request.Done:       {"begins", "decided", "responds", "ends"},
}

var stateNames = map[request.State]string{
	request.Idle: "Idle", request.Waiting: "Waiting", request.Sent: "Sent", request.Responding: "Responding",
	request.Replied: "Replied", request.Backoff: "Backoff", request.Queued: "Queued", request.Retrying: "Retrying", request.Done: "Done",
}

// TestEveryEventInEveryState sends each event in each state, three times, and then ends the stream, twice. Events
// that are not listed change nothing; no outcome is counted twice, and no place in the bulkhead is kept.
func TestEveryEventInEveryState(t *testing.T) {
	type transition struct {
		from  request.State
		event string
		to    request.State
		fails uint32 // failures that the event adds to those that the breaker has counted
	}
	transitions := []transition{
		{request.Idle, "begins", request.Waiting, 0},
		{request.Waiting, "decided", request.Sent, 0},
		{request.Waiting, "responds", request.Responding, 1},
		{request.Waiting, "responds, may be retried", request.Backoff, 1},
		{request.Waiting, "gone", request.Done, 0},
		{request.Sent, "responds", request.Responding, 1},
		{request.Sent, "responds, may be retried", request.Backoff, 1},
		{request.Sent, "ends", request.Done, 0},
		{request.Sent, "gone", request.Done, 0},
		{request.Responding, "ends", request.Done, 0},
		{request.Responding, "gone", request.Done, 0},
		{request.Backoff, "due", request.Queued, 0},
		{request.Backoff, "gone", request.Done, 0},
		{request.Queued, "decided", request.Retrying, 0},
		{request.Queued, "gone", request.Done, 0},
		{request.Retrying, "attempt ended", request.Replied, 1},
		{request.Retrying, "gone", request.Done, 0},
		{request.Replied, "gone", request.Done, 0},
	}
	for from, path := range reach {
		for _, event := range events {
			t.Run(stateNames[from]+", "+event.name, func(t *testing.T) {
				store := sharedstate.NewMemory()
				d := &driven{requesttest.JoinMeshOn(t, miniredis.RunT(t), allStages, "", store), &request.Request{}, store}
				for _, e := range path {
					d.send(e)
				}
				if got := d.request.State(); got != from {
					t.Fatalf("after %q: got state %s, want %s", path, stateNames[got], stateNames[from])
				}
				before, seen, resumed := d.record(), len(d.Observer.Events), len(d.Resumed)
				want := transition{from: from, event: event.name, to: from}
				i := slices.IndexFunc(transitions, func(tr transition) bool { return tr.from == from && tr.event == event.name })
				if i >= 0 {
					want = transitions[i]
				}
				step := d.send(event.name)
				if got := d.request.State(); got != want.to {
					t.Fatalf("got state %s, want %s", stateNames[got], stateNames[want.to])
				}
				if i < 0 {
					if got := requesttest.Outcome(step); got != "continue" || len(step.Set) > 0 {
						t.Errorf("got step %+v, want none", step)
					}
					if got := d.Observer.Events[seen:]; len(got) > 0 {
						t.Errorf("got events %q, want none", got)
					}
					if got := d.Resumed[resumed:]; len(got) > 0 {
						t.Errorf("got resumed %q, want none", got)
					}
					if after := d.record(); string(after.AppendTo(nil)) != string(before.AppendTo(nil)) {
						t.Errorf("got record %+v, want it unchanged: %+v", after, before)
					}
				}
				for _, e := range []string{event.name, event.name, "gone", "gone"} {
					d.send(e)
				}
				if from != request.Idle || i >= 0 {
					checkOver(t, d, before.Breaker.Failures+want.fails)
				}
			})
		}
	}
}

// checkOver checks that a request whose stream has ended holds nothing.
func checkOver(t *testing.T, d *driven, failures uint32) {
	t.Helper()
	if got := d.request.State(); got != request.Done || d.request.Unsettled() {
		t.Errorf("over: got state %s, open %v; want Done, false", stateNames[got], d.request.Unsettled())
	}
	r := d.record()
	if r.Breaker.Failures != failures {
		t.Errorf("over: got %d failures counted, want %d", r.Breaker.Failures, failures)
	}
	if len(r.Bulkhead.Owners) > 0 {
		t.Errorf("over: got bulkhead %+v, want no request in flight", r.Bulkhead)
	}
	if got := len(d.Resumed); got > 2 {
		t.Errorf("over: got resumed %q, want at most once for each attempt", d.Resumed)
	}
	if got := d.Observer.Matching("fault"); len(got) > 0 {
		t.Errorf("over: got %q, want no fault", got)
	}
}

// TestAnotherFilterRespondsWhileTheRequestWaits: the response passes, upstream had no part in it, and what the request
// held is returned. Redis's reply comes late then, and its token is the next request's.
func TestAnotherFilterRespondsWhileTheRequestWaits(t *testing.T) {
	store := sharedstate.NewMemory()
	m := requesttest.JoinMeshOn(t, miniredis.RunT(t),
		fmt.Sprintf(meshLimit, 1, `,"bulkhead":{"max_concurrent":2},"circuit_breaker":{"failure_threshold":1}`), "", store)
	r, got := m.BeginStream(1)
	if got != "paused" || !r.WantsResponse() {
		t.Fatalf("got %s, wants response %v; want paused, true", got, r.WantsResponse())
	}
	m.Client.MakeCalls(m.Now)
	step := r.Respond(&request.Response{Status: 503, Details: "ext_authz_error", GRPC: -1}, m.Now)
	if step.Kind != request.Continue || len(step.Set) > 0 {
		t.Errorf("another filter's response: got %+v, want it to pass unchanged", step)
	}
	if _, got := m.BeginStream(2); got != "paused" {
		t.Fatalf("the second request: got %s, want paused", got)
	}
	m.Answer()
	if got := strings.Join(m.Resumed, ", "); got != "2 continue" {
		t.Errorf("got resumed %q, want 2 continue: the first request no longer waits", got)
	}
	r.End(-1, m.Now)
	r.Gone("ext_authz_error", 0, m.Now)
	if r.Unsettled() {
		t.Error("after Gone: got an open request, want none")
	}
	if got := m.Observer.Transitions(); len(got) > 0 {
		t.Errorf("got transitions %q, want none: upstream did not fail", got)
	}
	var record sharedstate.Record
	if _, err := sharedstate.NewCell(store, sharedstate.ClusterKey("aws"), &record).Load(); err != nil {
		t.Fatal(err)
	}
	if o := record.Bulkhead.Owners; len(o) != 1 || o[0].Count != 1 {
		t.Errorf("got bulkhead %+v, want the second request only", o)
	}
}

// TestShadowIsCountedAfterTheResponse: a request in shadow does not wait for Redis. What would have become of it is
// counted when Redis replies, though its response has ended by then, and its stream too.
func TestShadowIsCountedAfterTheResponse(t *testing.T) {
	for _, gone := range []bool{false, true} {
		t.Run(fmt.Sprintf("stream gone %v", gone), func(t *testing.T) {
			store := sharedstate.NewMemory()
			m := requesttest.JoinMeshOn(t, miniredis.RunT(t),
				`{"mode":"shadow",`+fmt.Sprintf(meshLimit, 1, `,"bulkhead":{"max_concurrent":5}`)[1:], "", store)
			var requests []*request.Request
			for stream := range uint32(2) {
				r, got := m.BeginStream(stream)
				if got != "continue" {
					t.Fatalf("request %d: got %s, want continue", stream, got)
				}
				r.Respond(&request.Response{Status: 200, Details: up, GRPC: -1}, m.Now)
				r.End(-1, m.Now)
				if gone {
					r.Gone(up, 0, m.Now)
				}
				requests = append(requests, r)
			}
			if got := m.Observer.Matching("decided"); len(got) > 0 {
				t.Fatalf("before Redis replies: got %q, want nothing decided", got)
			}
			m.Client.MakeCalls(m.Now)
			m.Answer()
			want := "decided allowed in shadow, decided rate_limited in shadow"
			if got := strings.Join(m.Observer.Matching("decided"), ", "); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
			if len(m.Resumed) > 0 {
				t.Errorf("got resumed %q, want none", m.Resumed)
			}
			for i, r := range requests {
				r.Gone(up, 0, m.Now)
				if r.Unsettled() || r.State() != request.Done {
					t.Errorf("request %d, over: got open %v, state %s; want false, Done", i, r.Unsettled(), stateNames[r.State()])
				}
			}
			var record sharedstate.Record
			if _, err := sharedstate.NewCell(store, sharedstate.ClusterKey("aws"), &record).Load(); err != nil {
				t.Fatal(err)
			}
			if o := record.Bulkhead.Owners; len(o) > 0 {
				t.Errorf("got bulkhead %+v, want no request in flight", o)
			}
		})
	}
}
