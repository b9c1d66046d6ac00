// Package load sends many requests at the same time, over separate connections, and keeps the outcome of each.
//
//	answers := load.Run(t, load.Plan{URL: envoy.URL(), Requests: 5000})
//	answers.Statuses() // map[200:20 429:4980]
//
// Load generators such as vegeta, wrk or h2load do not do what these tests need: keep one connection for each client,
// so that both of Envoy's workers get requests; let a share of the clients leave before the response; number each
// request; give each its own headers; keep each response. The benchmarks, which need none of that, use wrk and h2load.
package load

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Plan says what to send. It needs URL or URLs, and at least one of Requests, Duration and Stop.
type Plan struct {
	URL    string
	URLs   []string    // several servers instead of URL: connection i sends to URLs[i%len(URLs)]
	Method string      // default GET
	Host   string      // the authority; default the one of the URL
	Header http.Header // sent with each request
	Body   string      // sent with each request

	HeaderOf func(n int64) http.Header // headers of the n-th request, counted from 0, in addition to Header
	Number   string                    // if set, request n has the header NumberHeader: Number followed by n, such as "aws-17"

	Connections    int             // default 64; each sends one request at a time
	NewConnections bool            // closes a connection after each request and opens another one
	Requests       int             // how many in all; 0 = until Duration or Stop
	Duration       time.Duration   // no request begins later than this; 0 = no such end
	Stop           <-chan struct{} // no request begins after it is closed; nil = no such end
	Rate           float64         // requests begun a second, over all connections, evenly spaced; 0 = as fast as possible
	Timeout        time.Duration   // after which a client gives up; default 30 s
	EndOnError     bool            // a connection sends nothing more after a request that failed; the others take over its share

	LeaveEarly float64       // the share of requests, 0 to 1, whose client closes its connection before the response
	LeaveAfter time.Duration // how long such a client waits: uniform between 0 and this. Default 5 ms
	Seed       uint64        // chooses who leaves, and when
}

// NumberHeader is the request header that has the request's number. See Plan.Number.
const NumberHeader = "number"

const (
	defaultConnections = 64
	defaultLeaveAfter  = 5 * time.Millisecond
	defaultTimeout     = 30 * time.Second
)

// Run carries out the plan and returns when the last request is over. It fails the test only for a plan that never
// ends.
func Run(t testing.TB, p Plan) Answers {
	t.Helper()
	if p.Requests == 0 && p.Duration == 0 && p.Stop == nil {
		t.Fatal("load: got no Requests, Duration or Stop, want at least one of them: the load would never end")
	}
	p = p.withDefaults()
	ctx := t.Context()
	start := time.Now()
	var next atomic.Int64
	perConnection := make([]Answers, p.Connections)
	var connections sync.WaitGroup
	for i := range perConnection {
		connections.Go(func() {
			c := p.newConnection(i)
			defer c.client.CloseIdleConnections()
			for {
				n := next.Add(1) - 1
				if !p.wait(ctx, start, n) {
					return
				}
				a := c.send(ctx, n)
				perConnection[i] = append(perConnection[i], a)
				if a.Err != nil && p.EndOnError {
					return
				}
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

func (p Plan) withDefaults() Plan {
	if len(p.URLs) == 0 {
		p.URLs = []string{p.URL}
	}
	if p.Method == "" {
		p.Method = http.MethodGet
	}
	if p.Connections == 0 {
		p.Connections = defaultConnections
	}
	if p.Timeout == 0 {
		p.Timeout = defaultTimeout
	}
	if p.LeaveAfter == 0 {
		p.LeaveAfter = defaultLeaveAfter
	}
	return p
}

// wait waits for the moment of the n-th request, counted from 0, and says whether to send it.
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
	case <-p.Stop:
		return false
	case <-ctx.Done():
		return false
	case <-until.C:
	}
	select {
	case <-p.Stop: // closed at the same moment
		return false
	default:
		return true
	}
}
