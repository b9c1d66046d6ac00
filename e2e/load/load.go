// Package load sends many requests at one time, over separate connections, and keeps what became of each.
//
//	answers := load.Run(t, load.Plan{URL: envoy.URL(), Requests: 5000})
//	answers.Statuses() // map[200:20 429:4980]
package load

import (
	"context"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Plan says what to send. URL and one of Requests and Duration are needed.
type Plan struct {
	URL    string
	Method string      // default GET
	Host   string      // the authority, where it is not URL's
	Header http.Header // sent with each request
	Body   string      // sent with each request

	Connections int           // default 64; each sends one request at a time
	Requests    int           // how many in all; 0 = until Duration is over
	Duration    time.Duration // no request begins later than this; 0 = until Requests are sent
	Rate        float64       // begun a second, over all connections, at even distances; 0 = as fast as they are answered

	LeaveEarly float64       // the share of requests whose client closes its connection before the answer, 0 to 1
	LeaveAfter time.Duration // how long such a client waits; drawn evenly between 0 and this. Default 5 ms
	Seed       uint64        // chooses who leaves, and when
}

const (
	defaultConnections = 64
	defaultLeaveAfter  = 5 * time.Millisecond
	// requestTimeout ends what hangs: a test that means to wait longer does not mean to do so under load.
	requestTimeout = 30 * time.Second
)

// Answer is what became of one request. Either Status is set, or Err.
type Answer struct {
	Start, End time.Time // with monotonic readings
	Status     int
	Header     http.Header
	Body       string
	Left       bool // this client was to leave early, whether or not the answer was quicker
	Err        error
}

// Answers are in no particular order.
type Answers []Answer

// Run carries out the plan and returns when the last request is over. It fails the test only for a plan that makes no sense.
func Run(t testing.TB, p Plan) Answers {
	t.Helper()
	if p.Requests == 0 && p.Duration == 0 {
		t.Fatal("load: neither Requests nor Duration: this would never end")
	}
	if p.Method == "" {
		p.Method = http.MethodGet
	}
	if p.Connections == 0 {
		p.Connections = defaultConnections
	}
	if p.LeaveAfter == 0 {
		p.LeaveAfter = defaultLeaveAfter
	}
	ctx := t.Context()
	start := time.Now()
	var turn atomic.Int64
	perConnection := make([]Answers, p.Connections)
	var connections sync.WaitGroup
	for i := range perConnection {
		connections.Go(func() {
			random := rand.New(rand.NewPCG(p.Seed, uint64(i)))
			client := newClient()
			defer client.CloseIdleConnections()
			for p.wait(ctx, start, turn.Add(1)-1) {
				perConnection[i] = append(perConnection[i], p.send(ctx, client, random))
			}
		})
	}
	connections.Wait()
	var all Answers
	for _, answers := range perConnection {
		all = append(all, answers...)
	}
	return all
}

// newClient has a connection that it shares with nobody.
func newClient() *http.Client {
	return &http.Client{
		Transport:     &http.Transport{MaxConnsPerHost: 1, DisableCompression: true},
		Timeout:       requestTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// wait waits for the moment of the n-th request, counted from 0, and says whether it is to be sent.
func (p Plan) wait(ctx context.Context, start time.Time, n int64) bool {
	if p.Requests > 0 && n >= int64(p.Requests) {
		return false
	}
	moment := time.Now()
	if p.Rate > 0 {
		if at := start.Add(time.Duration(float64(n) / p.Rate * float64(time.Second))); at.After(moment) {
			moment = at
		}
	}
	if p.Duration > 0 && moment.Sub(start) >= p.Duration {
		return false
	}
	until := time.NewTimer(time.Until(moment))
	defer until.Stop()
	select {
	case <-until.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (p Plan) send(ctx context.Context, client *http.Client, random *rand.Rand) (a Answer) {
	if random.Float64() < p.LeaveEarly {
		a.Left = true
		var leave context.CancelFunc
		ctx, leave = context.WithTimeout(ctx, time.Duration(random.Int64N(int64(p.LeaveAfter))))
		defer leave()
	}
	request, err := http.NewRequestWithContext(ctx, p.Method, p.URL, strings.NewReader(p.Body))
	if err != nil {
		a.Err = err
		return a
	}
	for name, values := range p.Header {
		request.Header[name] = values
	}
	request.Host = p.Host
	a.Start = time.Now()
	defer func() { a.End = time.Now() }()
	response, err := client.Do(request)
	if err != nil {
		a.Err = err
		return a
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		a.Err = err
		return a
	}
	a.Status, a.Header, a.Body = response.StatusCode, response.Header, string(body)
	return a
}

// Statuses counts the answers by status code. Requests that failed are not in it.
func (a Answers) Statuses() map[int]int {
	counts := map[int]int{}
	for _, answer := range a {
		if answer.Err == nil {
			counts[answer.Status]++
		}
	}
	return counts
}

// With returns the answers of a status code.
func (a Answers) With(status int) Answers {
	var some Answers
	for _, answer := range a {
		if answer.Err == nil && answer.Status == status {
			some = append(some, answer)
		}
	}
	return some
}

// Failed returns the requests that came to nothing though their client did not mean to leave.
func (a Answers) Failed() Answers {
	var some Answers
	for _, answer := range a {
		if answer.Err != nil && !answer.Left {
			some = append(some, answer)
		}
	}
	return some
}

// Starts returns when the requests began.
func (a Answers) Starts() []time.Time {
	moments := make([]time.Time, len(a))
	for i, answer := range a {
		moments[i] = answer.Start
	}
	return moments
}

// Ends returns when the answers were complete, or the requests given up.
func (a Answers) Ends() []time.Time {
	moments := make([]time.Time, len(a))
	for i, answer := range a {
		moments[i] = answer.End
	}
	return moments
}
