package load

import (
	"io"
	"net/http"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/weir-mesh/weir/e2e/upstream"
)

func TestFixedCountOverSeparateConnections(t *testing.T) {
	u := upstream.New(t)
	// No request is answered before all 16 connections have sent one, and none of them can have sent a second one.
	u.Set(upstream.Func(func(w http.ResponseWriter, _ *http.Request) {
		u.Wait("16 requests at one time", func() bool { _, most := u.InFlight(); return most >= 16 })
		_, _ = io.WriteString(w, "hello")
	}))
	answers := Run(t, Plan{URL: u.URL() + "/p", Host: "prices", Header: http.Header{"X-Trace": {"1"}}, Connections: 16, Requests: 100})

	if got := answers.Statuses(); len(got) != 1 || got[200] != 100 || len(answers.Failed()) != 0 {
		t.Errorf("statuses %v, %d failed; want 100 times 200", got, len(answers.Failed()))
	}
	if u.Count() != 100 {
		t.Errorf("upstream: got %d requests, want 100", u.Count())
	}
	if _, most := u.InFlight(); most != 16 {
		t.Errorf("at one time: got %d, want 16", most)
	}
	for _, a := range answers {
		if a.Body != "hello" || a.End.Before(a.Start) {
			t.Errorf("got %q after %s, want hello", a.Body, a.End.Sub(a.Start))
		}
	}
	if r := u.Requests()[0]; r.Host != "prices" || r.Path != "/p" || r.Header.Get("x-trace") != "1" || r.Method != "GET" {
		t.Errorf("got %+v, want a GET of /p with host prices and x-trace", r)
	}
}

func TestDuration(t *testing.T) {
	u := upstream.New(t)
	start := time.Now()
	answers := Run(t, Plan{URL: u.URL(), Connections: 4, Duration: 100 * time.Millisecond})
	if len(answers) < 4 || len(answers) != u.Count() {
		t.Errorf("got %d answers, want 4 or more, and as many as the upstream's %d", len(answers), u.Count())
	}
	for _, at := range answers.Starts() {
		// Between the look at the clock and Start there may be a pause of the machine, but not one of a second.
		if begun := at.Sub(start); begun > 1100*time.Millisecond {
			t.Errorf("got a request that began after %s, want at most 100 ms and a pause", begun)
		}
	}
}

func TestRate(t *testing.T) {
	u := upstream.New(t)
	start := time.Now()
	answers := Run(t, Plan{URL: u.URL(), Requests: 41, Rate: 200})
	starts := slices.SortedFunc(slices.Values(answers.Starts()), time.Time.Compare)
	for n, at := range starts {
		if due := time.Duration(n) * 5 * time.Millisecond; at.Sub(start) < due {
			t.Errorf("request %d began after %s, want %s at the earliest", n, at.Sub(start), due)
		}
	}
	if len(answers.With(200)) != 41 {
		t.Errorf("got statuses %v, want 41 x 200", answers.Statuses())
	}
}

func TestLeaveEarly(t *testing.T) {
	u := upstream.New(t)
	u.Set(upstream.Delay(50 * time.Millisecond))
	answers := Run(t, Plan{URL: u.URL(), Requests: 200, LeaveEarly: 0.5, Seed: 1})
	left := 0
	for _, a := range answers {
		if a.Left {
			left++
			if a.Err == nil {
				t.Errorf("got an answer after %s from a client that left, want none", a.End.Sub(a.Start))
			}
		}
	}
	if left < 60 || left > 140 {
		t.Errorf("%d of 200 left, want about half", left)
	}
	if got := answers.Statuses()[200]; got != 200-left || len(answers.Failed()) != 0 {
		t.Errorf("answered: got %d, want %d; failed %v", got, 200-left, answers.Failed())
	}
	u.WaitIdle()
	// A client that leaves before it has a connection is never seen by the upstream.
	if gone := u.ClientsGone(); gone == 0 || gone > left {
		t.Errorf("got %d clients that left by the upstream's count, want 1 to %d", gone, left)
	}
}

func TestFailedRequests(t *testing.T) {
	u := upstream.New(t)
	u.Set(upstream.HalfBody(10))
	answers := Run(t, Plan{URL: u.URL(), Connections: 2, Requests: 4})
	if len(answers.Failed()) != 4 || len(answers.Statuses()) != 0 {
		t.Errorf("got %d failed, statuses %v; want 4 and none", len(answers.Failed()), answers.Statuses())
	}
}

func TestNumbersAndHeadersOfTheirOwn(t *testing.T) {
	u := upstream.New(t)
	answers := Run(t, Plan{
		URL: u.URL(), Connections: 4, Requests: 40, Number: "aws-",
		HeaderOf: func(n int64) http.Header { return http.Header{"User": {strconv.FormatInt(n%3, 10)}} },
	})
	users := map[string]string{}
	for _, r := range u.Requests() {
		users[r.Header.Get(NumberHeader)] = r.Header.Get("user")
	}
	starts := answers.StartByNumber()
	for n := range 40 {
		number := "aws-" + strconv.Itoa(n)
		if want := strconv.Itoa(n % 3); users[number] != want {
			t.Errorf("request %s: got user %q, want %q", number, users[number], want)
		}
		if starts[number].IsZero() {
			t.Errorf("request %s: got no start, want one", number)
		}
	}
}

func TestSeveralServers(t *testing.T) {
	one, two := upstream.New(t), upstream.New(t)
	answers := Run(t, Plan{URLs: []string{one.URL(), two.URL()}, Connections: 4, Requests: 200, Rate: 2000})
	got := [2]int{}
	for _, a := range answers {
		got[a.Server]++
	}
	if want := [2]int{one.Count(), two.Count()}; got != want || got[0] == 0 || got[1] == 0 {
		t.Errorf("got %v requests by server, want %v and some of each", got, want)
	}
}

func TestStop(t *testing.T) {
	u := upstream.New(t)
	stop := make(chan struct{})
	u.Set(upstream.Func(func(http.ResponseWriter, *http.Request) {
		if u.Count() == 50 {
			close(stop)
		}
	}))
	answers := Run(t, Plan{URL: u.URL(), Connections: 1, NewConnections: true, Stop: stop})
	if len(answers) != 50 || len(answers.With(200)) != 50 {
		t.Errorf("got %d requests with statuses %v, want 50 with 200", len(answers), answers.Statuses())
	}
}

func TestEndOnError(t *testing.T) {
	u := upstream.New(t)
	u.Set(upstream.HalfBody(10))
	answers := Run(t, Plan{URL: u.URL(), Connections: 3, Requests: 100, EndOnError: true})
	if len(answers) != 3 || len(answers.Failed()) != 3 {
		t.Errorf("got %d requests, %d failed, want one for each of 3 connections", len(answers), len(answers.Failed()))
	}
}
