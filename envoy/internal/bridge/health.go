package bridge

import (
	"context"
	"net/http"
	"sync"
	"time"
)

// healthAge is how long the result of one PING is used: /health needs no token, and must not become a load on Redis.
const healthAge = 200 * time.Millisecond

// health is the result of the last PING.
type health struct {
	mu  sync.Mutex // held during a PING: concurrent requests wait for its result
	at  time.Time
	err error
}

// ping asks Redis whether it answers.
func (b *Bridge) ping() error {
	b.health.mu.Lock()
	defer b.health.mu.Unlock()
	if now := time.Now(); b.health.at.IsZero() || now.Sub(b.health.at) >= healthAge {
		// Not the request's context: when the first caller leaves, the others still wait for the result.
		ctx, cancel := context.WithTimeout(context.Background(), b.settings.Timeout)
		defer cancel()
		b.health.err = b.client.Ping(ctx).Err()
		b.health.at = time.Now()
		b.availability.note(b.health.at, b.health.err)
	}
	return b.health.err
}

// serveHealth answers with a state and no details, since it needs no token.
func (b *Bridge) serveHealth(w http.ResponseWriter) {
	status, word := http.StatusOK, "ok"
	switch err := b.ping(); {
	case b.draining.Load():
		status, word = http.StatusServiceUnavailable, "draining"
	case err != nil && timedOut(err):
		status, word = http.StatusServiceUnavailable, "redis does not answer in time"
	case err != nil:
		status, word = http.StatusServiceUnavailable, "redis cannot be used"
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(`{"status":"` + word + `"}` + "\n"))
}
