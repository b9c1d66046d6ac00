package lease

import "time"

// Decision is what a holder decides on a request.
type Decision uint8

// The decisions.
const (
	Granted   Decision = iota + 1
	Refused            // no token is left; see RetryAfter
	Waiting            // for a reply of Redis: Decisions will count the request
	QueueFull          // no token is here, and as many requests wait as may
	RedisDown          // no token is here, and Redis is not called now
)

func (d Decision) String() string {
	return [...]string{"none", "granted", "refused", "waiting", "queue full", "redis down"}[d]
}

// Verdict is the result of Take.
type Verdict struct {
	Decision   Decision
	RetryAfter time.Duration // of a refusal
	CallDue    bool          // NextCall is to be called soon, from where a call can be made
}

// Decisions are on requests that waited, in their order: the first Granted ones are admitted, the next Refused ones are
// refused, and the next Failed ones got no reply from Redis. All others wait on.
type Decisions struct {
	Granted, Refused, Failed int
	RetryAfter               time.Duration // of those that are refused
	CallDue                  bool          // as in Verdict
	Late                     bool          // the reply was dropped: its call is not pending any more
}
