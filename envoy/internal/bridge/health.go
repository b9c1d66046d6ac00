package bridge

import (
	"context"
	"net/http"
	"sync"
	"time"
)

// healthAge is how long one PING answers for. Anybody may ask for /health, and Redis is to feel little of it.
const healthAge = 200 * time.Millisecond

// health is what the last PING came to.
type health struct {
	mu  sync.Mutex // held while one PING is under way: who else asks waits for the same answer
	at  time.Time
	err error
}

// ping asks Redis whether it is there.
func (b *Bridge) ping() error {
	b.health.mu.Lock()
	defer b.health.mu.Unlock()
	if now := time.Now(); b.health.at.IsZero() || now.Sub(b.health.at) >= healthAge {
		// Not by the request's context: when the first who asks leaves, the others still want to know.
		ctx, cancel := context.WithTimeout(context.Background(), b.settings.Timeout)
		defer cancel()
		b.health.err = b.client.Ping(ctx).Err()
		b.health.at = time.Now()
		b.note(b.health.err)
	}
	return b.health.err
}

// note tells the journal how it went with Redis.
func (b *Bridge) note(err error) {
	if err != nil {
		b.journal.trouble(time.Now(), b.where, err)
	} else {
		b.journal.fine(b.where)
	}
}

// serveHealth tells no more than one word: it asks for no token.
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
