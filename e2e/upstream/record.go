package upstream

import (
	"crypto/sha256"
	"net/http"
	"time"
)

// Request is the upstream's record of one request.
type Request struct {
	Arrived    time.Time // with a monotonic reading, taken before the body is read
	Done       time.Time // zero while it is being answered
	Proto      string    // "HTTP/1.1" or "HTTP/2.0"
	Method     string
	Host       string // the authority
	Path       string // with the query, as it was sent
	Header     http.Header
	BodySize   int64             // bytes of the body; 0 until it was read
	BodySHA256 [sha256.Size]byte // of the whole body
	Trailer    http.Header       // nil until the body was read
	ClientGone bool              // the client closed the connection or reset the stream before the answer was complete
}

// Requests returns a copy of what arrived so far, in the order of arrival.
func (u *Upstream) Requests() []Request {
	u.mu.Lock()
	defer u.mu.Unlock()
	requests := make([]Request, len(u.requests))
	for i, r := range u.requests {
		requests[i] = *r
	}
	return requests
}

// Attempts returns the requests in which a header has this value, in the order of arrival: the attempts of one request,
// where its sender has numbered it.
func (u *Upstream) Attempts(header, value string) (attempts []Request) {
	for _, r := range u.Requests() {
		if r.Header.Get(header) == value {
			attempts = append(attempts, r)
		}
	}
	return attempts
}

// Count is the number of requests that arrived.
func (u *Upstream) Count() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.requests)
}

// Arrivals returns the moments of arrival, in order.
func (u *Upstream) Arrivals() []time.Time {
	u.mu.Lock()
	defer u.mu.Unlock()
	arrivals := make([]time.Time, len(u.requests))
	for i, r := range u.requests {
		arrivals[i] = r.Arrived
	}
	return arrivals
}

// InFlight returns how many requests are being answered now, and the most that ever were at one time.
func (u *Upstream) InFlight() (now, most int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.inFlight, u.mostEver
}

// ClientsGone is the number of requests whose client left before the answer was complete.
func (u *Upstream) ClientsGone() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	gone := 0
	for _, r := range u.requests {
		if r.ClientGone {
			gone++
		}
	}
	return gone
}

// Forget drops the records made so far, so that the next phase of a test counts from zero. What is being answered now
// stays in flight.
func (u *Upstream) Forget() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.requests, u.mostEver = nil, u.inFlight
}

// waitDeadline is how long Wait waits: far longer than anything takes on a busy machine.
const waitDeadline = 15 * time.Second

// Wait returns as soon as done says so, and fails the test when it still does not after 15 s. done is asked again after
// each arrival and each end of a request; what names the thing waited for.
func (u *Upstream) Wait(what string, done func() bool) {
	u.t.Helper()
	deadline := time.NewTimer(waitDeadline)
	defer deadline.Stop()
	for {
		u.mu.Lock()
		changed := u.changed
		u.mu.Unlock()
		if done() {
			return
		}
		select {
		case <-changed:
		case <-deadline.C:
			now, most := u.InFlight()
			u.t.Fatalf("upstream: no %s within %s; %d requests arrived, %d in flight, at most %d at one time, %d clients gone",
				what, waitDeadline, u.Count(), now, most, u.ClientsGone())
		}
	}
}

// WaitCount waits until at least n requests have arrived.
func (u *Upstream) WaitCount(n int) {
	u.t.Helper()
	u.Wait("arrival of the requests", func() bool { return u.Count() >= n })
}

// WaitIdle waits until no request is being answered.
func (u *Upstream) WaitIdle() {
	u.t.Helper()
	u.Wait("end of the requests in flight", func() bool { now, _ := u.InFlight(); return now == 0 })
}

// WaitClientsGone waits until at least n clients were seen leaving.
func (u *Upstream) WaitClientsGone(n int) {
	u.t.Helper()
	u.Wait("departure of the clients", func() bool { return u.ClientsGone() >= n })
}

func (u *Upstream) arrived(r *http.Request) (Behaviour, *Request) {
	record := &Request{
		Arrived: time.Now(),
		Proto:   r.Proto,
		Method:  r.Method,
		Host:    r.Host,
		Path:    r.RequestURI,
		Header:  r.Header.Clone(),
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.requests = append(u.requests, record)
	u.inFlight++
	u.mostEver = max(u.mostEver, u.inFlight)
	u.announce()
	return u.next(r), record
}

func (u *Upstream) read(record *Request, sum [sha256.Size]byte, size int64, trailer http.Header) {
	u.mu.Lock()
	defer u.mu.Unlock()
	record.BodySHA256, record.BodySize, record.Trailer = sum, size, trailer.Clone()
	u.announce()
}

func (u *Upstream) done(record *Request, gone bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	record.Done, record.ClientGone = time.Now(), gone
	u.inFlight--
	u.announce()
}

// announce is called with mu held.
func (u *Upstream) announce() {
	close(u.changed)
	u.changed = make(chan struct{})
}
