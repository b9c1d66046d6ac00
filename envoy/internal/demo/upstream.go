package demo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
)

// upstream is a small server that fails on command and counts what reaches it.
type upstream struct {
	requests atomic.Int64
	failing  atomic.Bool
	once     atomic.Bool // fails the next request
}

// count is the number of requests that reached the upstream, without those to /fail and /heal.
func (u *upstream) count() int64 { return u.requests.Load() }

func (u *upstream) fail()     { u.failing.Store(true) }
func (u *upstream) failOnce() { u.once.Store(true) }
func (u *upstream) heal()     { u.failing.Store(false) }

// ServeHTTP answers prices, which must not be cached, and a catalogue; 503 while failing. POST /fail and /heal are for
// --keep.
func (u *upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Method == http.MethodPost && r.URL.Path == "/fail":
		u.fail()
		fmt.Fprintln(w, "the upstream now fails every request")
	case r.Method == http.MethodPost && r.URL.Path == "/heal":
		u.heal()
		fmt.Fprintln(w, "the upstream is healthy again")
	default:
		u.requests.Add(1)
		if u.failing.Load() || u.once.Swap(false) {
			http.Error(w, "the upstream is out of order", http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("content-type", "application/json")
		if r.URL.Path == prices {
			w.Header().Set("cache-control", "no-store")
		}
		fmt.Fprintln(w, `{"services":[{"name":"m7.large","usd_per_hour":0.1008}]}`)
	}
}

// serve runs the upstream until the returned function is called.
func (u *upstream) serve(listener net.Listener) (stop func() error) {
	server := &http.Server{Handler: u}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	return func() error {
		if err := server.Shutdown(context.Background()); err != nil {
			return err
		}
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	}
}
