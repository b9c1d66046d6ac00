package bridge

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// logInterval is the shortest time between two log lines of one outage.
const logInterval = 10 * time.Second

// availability knows whether Redis answers, and logs when that changes. During an outage every request fails, so the
// outage is logged once when it begins, at most once in logInterval while it lasts, and once when it ends.
type availability struct {
	log   *slog.Logger
	redis string      // where Redis is, without a password
	down  atomic.Bool // written with mu held; read without it, since each request does

	mu       sync.Mutex
	loggedAt time.Time // of the last line about this outage
	failures int       // since that line
}

// note records that Redis answered (err is nil) or could not be used.
func (a *availability) note(now time.Time, err error) {
	if err == nil && !a.down.Load() {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if err == nil {
		if a.down.CompareAndSwap(true, false) {
			a.log.Info("Redis answers again", "redis", a.redis)
		}
		return
	}
	a.failures++
	switch {
	case !a.down.Load():
		a.log.Warn("Redis does not answer", "redis", a.redis, "error", err)
	case now.Sub(a.loggedAt) >= logInterval:
		a.log.Warn("Redis still does not answer", "redis", a.redis, "failures", a.failures, "error", err)
	default:
		return
	}
	a.down.Store(true)
	a.loggedAt, a.failures = now, 0
}
