package request_test

import (
	"testing"
	"time"

	"github.com/weir-mesh/weir/filter/internal/request"
	"github.com/weir-mesh/weir/filter/internal/requesttest"
)

// what is one thing that happens to a request.
type what struct {
	at      int64  // milliseconds after the request's headers
	whole   bool   // the request ends
	headers int    // the response's status
	events  bool   // with headers: content-type text/event-stream
	details string // with headers, of a local reply; without, the stream's end
	piece   int    // bytes of the response's body
	tick    bool   // the alarm of a probe's response
	ends    bool   // the response ends
	grpc    int    // with ends
	age     int64  // of the stream then, milliseconds
}

// aged tells the request its stream's age, where it wants it.
func aged(r *request.Request, w *what, details string, status int, now int64) {
	grpc := -1
	if w.ends {
		grpc = w.grpc
	}
	if w.age != 0 && r.WantsAge(details, status, grpc, now) {
		r.Age(time.Duration(w.age*ms), now)
	}
}

// play lets it happen to a request, as the plugin does.
func play(p *requesttest.Proxy, in request.Incoming, script []what) {
	r, _ := p.Begin(in)
	start := p.Now
	for i := range script {
		w := &script[i]
		p.Now = start + w.at*ms
		switch {
		case w.whole:
			if r.WantsWhole() {
				r.Whole(p.Now)
			}
		case w.headers != 0:
			response := request.Response{Status: w.headers, Details: up, GRPC: -1}
			if w.details != "" {
				response.Details = w.details
			}
			if r.WantsType(false, p.Now) {
				response.Events = w.events
			}
			aged(r, w, response.Details, response.Status, p.Now)
			r.Respond(&response, p.Now)
		case w.piece != 0:
			if r.Passes(w.piece) {
				r.Passed(p.Now)
			}
		case w.tick:
			if due := r.DueToAccept(); due != 0 && due <= p.Now {
				r.Watch(p.Now)
			}
		case w.ends:
			aged(r, w, up, 0, p.Now)
			r.End(w.grpc, p.Now)
		default:
			aged(r, w, w.details, 0, p.Now)
			r.Gone(w.details, 0, p.Now)
		}
	}
}

const (
	routeTimeout = "response_timeout"
	idle         = "stream_idle_timeout"
	lifetime     = "max_duration_timeout"
	resetAfter   = "upstream_reset_after_response_started{connection_termination}"
	much         = 1 << 20
)

// TestBlame: how time and what a client does count. With two failures before, three are a failure more, two are neither,
// none is a success, and one is a success and then a failure of its own.
func TestBlame(t *testing.T) {
	t.Parallel()
	const unwritten, written = `{"circuit_breaker":{"failure_threshold":9}}`, `{"circuit_breaker":{"failure_threshold":9,"timeout":"1s"}}`
	const failure, neither, success, both = 3, 2, 0, 1
	body := request.Incoming{Body: true}
	for _, tc := range []struct {
		name   string
		rules  string
		in     request.Incoming
		script []what
		want   uint32
	}{
		{"a client that sends slowly", written, body, []what{{at: 31000, whole: true}, {at: 31001, headers: 200}, {at: 31001, ends: true, grpc: -1}}, success},
		{"upstream that is slow after that", written, body, []what{{at: 500, whole: true}, {at: 1600, headers: 200}, {at: 1600, ends: true, grpc: -1}}, failure},
		{"an answer before the request is whole", written, body, []what{{at: 5000, headers: 200}, {at: 5000, ends: true, grpc: -1}}, success},
		{"a failing status before the request is whole", written, body, []what{{at: 1, headers: 503}}, failure},
		{"408 before the request is whole", written, body, []what{{at: 5000, headers: 408}, {at: 5000, ends: true, grpc: -1}}, neither},
		{"408 for a whole request", written, request.Incoming{}, []what{{at: 5, headers: 408}, {at: 5, ends: true, grpc: -1}}, success},

		{"gRPC, slow", unwritten, request.Incoming{GRPC: true}, []what{{at: 31000, headers: 200}, {at: 31000, ends: true}}, success},
		{"gRPC, slow, timeout written", written, request.Incoming{GRPC: true}, []what{{at: 1100, headers: 200}, {at: 1100, ends: true}}, failure},
		{"events by accept, slow", unwritten, request.Incoming{Events: true}, []what{{at: 31000, headers: 200}, {at: 31000, ends: true, grpc: -1}}, success},
		{"events by content-type, slow", unwritten, request.Incoming{}, []what{{at: 31000, headers: 200, events: true}, {at: 31000, ends: true, grpc: -1}}, success},
		{"no events, slow", unwritten, request.Incoming{}, []what{{at: 31000, headers: 200}, {at: 31000, ends: true, grpc: -1}}, failure},
		{"events, slow, timeout written", written, request.Incoming{Events: true}, []what{{at: 1100, headers: 200, events: true}, {at: 1100, details: requesttest.ClientLeft}}, failure},

		{"idle, whole", written, request.Incoming{}, []what{{at: 1000, headers: 504, details: idle}}, failure},
		{"idle, whole after a long upload", written, body, []what{{at: 5000, whole: true}, {at: 6000, headers: 504, details: idle}}, failure},
		{"idle, not whole", written, body, []what{{at: 1000, headers: 408, details: idle}}, neither},
		{"max_stream_duration, whole", written, request.Incoming{}, []what{{at: 1000, headers: 504, details: lifetime}}, failure},
		{"max_stream_duration, most of it the client's", written, body, []what{{at: 800, whole: true}, {at: 1000, headers: 504, details: lifetime}}, neither},
		{"max_stream_duration, most of it upstream's", written, body, []what{{at: 200, whole: true}, {at: 1000, headers: 504, details: lifetime}}, failure},
		{"cluster's max_stream_duration, not whole", written, body, []what{{at: 1000, headers: 504, details: "upstream_max_stream_duration_reached"}}, neither},
		{"request_timeout", written, body, []what{{at: 1000, headers: 408, details: "request_overall_timeout"}}, neither},
		{"reset of an upload", written, body, []what{{at: 10, headers: 503, details: resetConn}}, neither},
		{"reset of a whole request", written, body, []what{{at: 10, whole: true}, {at: 21, headers: 503, details: resetConn}}, failure},
		{"no HTTP", written, request.Incoming{}, []what{{at: 10, headers: 502, details: noHTTP}}, failure},
		{"malformed for HTTP/2", written, request.Incoming{Malformed: true}, []what{{at: 10, headers: 502, details: noHTTP}}, neither},
		{"malformed, reset for another reason", written, request.Incoming{Malformed: true}, []what{{at: 10, headers: 503, details: resetConn}}, failure},
		{"upgrade that upstream does not offer", written, request.Incoming{Upgrade: true}, []what{{at: 10, headers: 502, details: noHTTP}}, neither},
		{"reset of a slow upload", written, body, []what{{at: 5000, headers: 503, details: resetConn}}, neither},
		{"refused while the client sends", written, body, []what{{at: 5000, headers: 503, details: refusedConn}}, failure},

		{"timer, no body", written, request.Incoming{}, []what{{at: 1, headers: 200}, {at: 500, details: routeTimeout}}, failure},
		{"timer, a piece", written, request.Incoming{}, []what{{at: 1, headers: 200}, {at: 1, piece: 100}, {at: 500, details: routeTimeout}}, failure},
		{"timer, the body stopped", written, request.Incoming{}, []what{{at: 1, headers: 200}, {at: 1, piece: 9}, {at: 90, piece: 9}, {at: 500, details: routeTimeout}}, failure},
		{"timer, the body flows", written, request.Incoming{}, []what{{at: 1, headers: 200}, {at: 1, piece: 9}, {at: 400, piece: 9}, {at: 500, details: routeTimeout}}, neither},
		{"idle timer, the body flowed", written, request.Incoming{}, []what{{at: 1, headers: 200}, {at: 1, piece: 9}, {at: 900, piece: 9}, {at: 1400, details: idle}}, failure},
		{"timer, the client may not read", written, request.Incoming{}, []what{{at: 1, headers: 200}, {at: 2, piece: much}, {at: 500, details: routeTimeout}}, neither},
		{"timer, the client does not read for long", written, request.Incoming{}, []what{{at: 1, headers: 200}, {at: 2, piece: much}, {at: 9000, details: routeTimeout}}, success},
		{"timer, the client still sends", written, body, []what{{at: 1, headers: 200}, {at: 500, details: lifetime}}, neither},
		{"reset while the body flows", written, request.Incoming{}, []what{{at: 1, headers: 200}, {at: 1, piece: much}, {at: 400, piece: much}, {at: 500, details: resetAfter}}, failure},
		{"reset while the client may not read", written, request.Incoming{}, []what{{at: 1, headers: 200}, {at: 1, piece: much}, {at: 2, piece: much}, {at: 9000, details: resetAfter}}, success},
		{"reset after the client may not have read", written, request.Incoming{}, []what{{at: 1, headers: 200}, {at: 2, piece: much}, {at: 5000, piece: much}, {at: 5001, details: resetAfter}}, success},
		{"the client leaves a flowing answer", written, request.Incoming{}, []what{{at: 1, headers: 200}, {at: 2, piece: 9}, {at: 1500, piece: 9}, {at: 1600, details: requesttest.ClientLeft}}, success},
		{"the client leaves soon", written, request.Incoming{}, []what{{at: 1, headers: 200}, {at: 2, piece: 9}, {at: 500, piece: 9}, {at: 600, details: requesttest.ClientLeft}}, neither},
		{"the client leaves an answer that stopped", written, request.Incoming{}, []what{{at: 1, headers: 200}, {at: 2, piece: 9}, {at: 9000, details: requesttest.ClientLeft}}, neither},

		{"upgrade", written, request.Incoming{Upgrade: true, Body: true}, []what{{at: 1, headers: 101}, {at: 90000, details: idle}}, success},
		{"upgrade, closed later", written, request.Incoming{Upgrade: true, Body: true}, []what{{at: 1, headers: 101}, {at: 90000, details: resetAfter}}, success},
		{"upgrade, unanswered", written, request.Incoming{Upgrade: true, Body: true}, []what{{at: 1000, headers: 408, details: idle}}, neither},
		{"CONNECT", written, request.Incoming{Upgrade: true, Connect: true, Body: true}, []what{{at: 1, headers: 200}, {at: 9, details: requesttest.ClientLeft}}, success},
		{"events", written, request.Incoming{Events: true}, []what{{at: 1, headers: 200, events: true}, {at: 9, details: requesttest.ClientLeft}}, success},
		{"events, accepted but not answered as such", written, request.Incoming{Events: true}, []what{{at: 1, headers: 200}, {at: 9, details: requesttest.ClientLeft}}, neither},
		{"events, cut by a timer while silent", written, request.Incoming{Events: true}, []what{{at: 1, headers: 200, events: true}, {at: 9000, details: routeTimeout}}, success},
		{"events, reset later", written, request.Incoming{Events: true}, []what{{at: 1, headers: 200, events: true}, {at: 90000, details: resetAfter}}, both},
		{"gRPC unary", written, request.Incoming{GRPC: true}, []what{{at: 1, headers: 200}, {at: 1, piece: 9}, {at: 1, ends: true, grpc: 14}}, failure},
		{"gRPC stream", written, request.Incoming{GRPC: true}, []what{{at: 1, headers: 200}, {at: 1, piece: 9}, {at: 5, piece: 9}, {at: 9, details: requesttest.ClientLeft}}, success},
		{"gRPC stream that fails", written, request.Incoming{GRPC: true}, []what{{at: 1, headers: 200}, {at: 1, piece: 9}, {at: 5, piece: 9}, {at: 9, ends: true, grpc: 14}}, both},
		{"gRPC, no message", unwritten, request.Incoming{GRPC: true}, []what{{at: 1, headers: 200}, {at: 9000, details: routeTimeout}}, failure},
	} {
		p := requesttest.Start(t, tc.rules)
		p.RoundTrip(up, 500)
		p.RoundTrip(up, 500)
		play(p, tc.in, tc.script)
		if _, err := p.Cluster.LoadRecord(); err != nil {
			t.Fatal(err)
		}
		if got := p.Cluster.Record().Breaker.Failures; got != tc.want {
			t.Errorf("%s: got %d failures, want %d (3: failure, 2: neither, 0: success, 1: success and failure); %q",
				tc.name, got, tc.want, p.Observer.Events)
		}
	}
}

// TestProbesAreAccepted: a half-open breaker counts an answer that flows before its end, and no later failure is lost.
func TestProbesAreAccepted(t *testing.T) {
	t.Parallel()
	const rules = `{"circuit_breaker":{"failure_threshold":1,"success_threshold":1,"recovery_timeout":"1s","half_open_max_calls":1,"timeout":"5s"}}`
	const closed, halfOpen, open = "closed", "half_open", "open"
	for _, tc := range []struct {
		name   string
		in     request.Incoming
		script []what
		want   string
	}{
		{"events by content-type alone", request.Incoming{}, []what{{at: 1, headers: 200, events: true}}, closed},
		{"events by accept", request.Incoming{Events: true}, []what{{at: 1, headers: 200, events: true}}, closed},
		{"upgrade", request.Incoming{Upgrade: true, Body: true}, []what{{at: 1, headers: 101}}, closed},
		{"CONNECT", request.Incoming{Upgrade: true, Connect: true, Body: true}, []what{{at: 1, headers: 200}}, closed},
		{"gRPC, its headers", request.Incoming{GRPC: true}, []what{{at: 1, headers: 200}}, halfOpen},
		{"gRPC, a message", request.Incoming{GRPC: true}, []what{{at: 1, headers: 200}, {at: 1, piece: 9}}, closed},
		{"an answer that flows for a second", request.Incoming{}, []what{{at: 1, headers: 200}, {at: 9, piece: 9}, {at: 800, piece: 9}, {at: 1001, tick: true}}, closed},
		{"an answer that flows after a second", request.Incoming{}, []what{{at: 1, headers: 200}, {at: 9, piece: 9}, {at: 1001, tick: true}, {at: 1002, piece: 9}}, closed},
		{"a long one that the client may not read", request.Incoming{}, []what{{at: 1, headers: 200}, {at: 2, piece: much}, {at: 1001, tick: true}}, closed},
		{"an answer that stopped", request.Incoming{}, []what{{at: 1, headers: 200}, {at: 9, piece: 9}, {at: 1001, tick: true}, {at: 4000, tick: true}}, halfOpen},
		{"a stream that fails later", request.Incoming{}, []what{{at: 1, headers: 200, events: true}, {at: 9000, details: resetAfter}}, open},
		{"a slow client, after its place was lost", request.Incoming{Body: true}, []what{{at: 9000, details: requesttest.ClientLeft}}, halfOpen},
	} {
		p := requesttest.Start(t, rules)
		p.RoundTrip(up, 500)
		p.Now += 1001 * ms
		play(p, tc.in, tc.script)
		if _, err := p.Cluster.LoadRecord(); err != nil {
			t.Fatal(err)
		}
		if got := p.Cluster.Record().Breaker.Status.String(); got != tc.want {
			t.Errorf("%s: got %s, want %s; %q", tc.name, got, tc.want, p.Observer.Events)
		}
	}
}

// TestUntimedCallsAreNoSlowCalls: what is not judged by its time neither is slow nor makes the share of slow calls smaller.
func TestUntimedCallsAreNoSlowCalls(t *testing.T) {
	t.Parallel()
	p := requesttest.Start(t, `{"circuit_breaker":{"slow_calls":{"slower_than":"1s","threshold":1,"min_calls":2,"window":"60s"}}}`)
	slow := []what{{at: 2000, headers: 200}, {at: 2000, ends: true, grpc: -1}}
	play(p, request.Incoming{}, slow)
	for range 5 {
		play(p, request.Incoming{GRPC: true}, slow)
		play(p, request.Incoming{Events: true}, slow)
		play(p, request.Incoming{Body: true}, slow)
	}
	if got := p.Observer.Transitions(); len(got) > 0 {
		t.Fatalf("untimed calls counted as slow: %q", got)
	}
	play(p, request.Incoming{}, slow)
	if got := p.Observer.Transitions(); len(got) != 1 {
		t.Errorf("two slow calls of two that are judged: got %q, want the breaker open", got)
	}
}
