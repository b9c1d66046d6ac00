package admin

import (
	"time"

	"github.com/weir-mesh/weir/policy"
	"github.com/weir-mesh/weir/policy/breaker"
)

// Status is GET /status. Times are RFC 3339, UTC; durations are seconds. Of a cluster there are the sections that its
// policy has.
type Status struct {
	Time     string              `json:"time"`
	Clusters map[string]*Cluster `json:"clusters"`
	LeftOut  bool                `json:"left_out,omitempty"` // there are more clusters than have room in the directory
	Redis    Redis               `json:"redis"`
}

// Cluster is one cluster. Name is told by GET /status/CLUSTER.
type Cluster struct {
	Name      string     `json:"cluster,omitempty"`
	Mode      string     `json:"mode"`
	Breaker   *Breaker   `json:"circuit_breaker,omitempty"`
	RateLimit *RateLimit `json:"rate_limit,omitempty"`
	Requests  Requests   `json:"requests"`
	Answers   Answers    `json:"answers"`
	Fallback  *Fallback  `json:"fallback,omitempty"`
	Retry     *Retry     `json:"retry,omitempty"`
	Bulkhead  *Bulkhead  `json:"bulkhead,omitempty"`
	Upstream  Upstream   `json:"upstream"`
	Failover  *Failover  `json:"failover,omitempty"`
}

// Breaker is a circuit breaker.
type Breaker struct {
	State            string  `json:"state"`  // closed, open, half_open
	Forced           string  `json:"forced"` // auto, open, closed
	Since            *string `json:"since"`  // null: it never changed
	Cause            *string `json:"cause"`  // of the last change, by breaker.Cause's names
	FailureCount     uint32  `json:"failure_count"`
	SuccessCount     uint32  `json:"success_count"`
	OpenedAt         *string `json:"opened_at"`   // null: it is not open
	RetryAfter       float64 `json:"retry_after"` // until the next probe
	OpensTotal       uint32  `json:"opens_total"`
	FailureThreshold int     `json:"failure_threshold"`
	SuccessThreshold int     `json:"success_threshold"`
	RecoveryTimeout  float64 `json:"recovery_timeout"`
	// Shares of the calls that open it, 0 to 1; null: the policy has no such section.
	FailureRate *float64 `json:"failure_rate_threshold"`
	SlowCalls   *float64 `json:"slow_calls_threshold"`
}

// RateLimit is a limit. Remaining is null where each key has a limit of its own, SuccessRate (0 to 1) where none is known.
type RateLimit struct {
	Algorithm   string   `json:"algorithm"`
	Scope       string   `json:"scope"`
	PerMinute   float64  `json:"requests_per_minute"` // now
	Configured  float64  `json:"configured_requests_per_minute"`
	Remaining   *int64   `json:"remaining"`
	SuccessRate *float64 `json:"success_rate"`
	Limited     uint64   `json:"limited_total"`
	Keyed       bool     `json:"keyed"`
	Window      float64  `json:"window"` // of a token bucket: from empty to full
}

// Requests are the decisions.
type Requests struct {
	Allowed      uint64 `json:"allowed"`
	RateLimited  uint64 `json:"rate_limited"`
	CircuitOpen  uint64 `json:"circuit_open"`
	BulkheadFull uint64 `json:"bulkhead_full"`
}

// Answers are the answers, by source.
type Answers struct {
	Upstream uint64 `json:"upstream"`
	Fallback
}

// Fallback are those that are not upstream's.
type Fallback struct {
	Cache      uint64 `json:"cache"`
	StaleCache uint64 `json:"stale_cache"`
	Default    uint64 `json:"default"`
	Degraded   uint64 `json:"degraded"`
	Error      uint64 `json:"error"`
}

// Retry is the tries after the first.
type Retry struct {
	Attempts  uint64 `json:"attempts_total"`
	Exhausted uint64 `json:"exhausted_total"`
	Budget    int64  `json:"budget_remaining"`
}

// Bulkhead is the places for requests at one time.
type Bulkhead struct {
	InFlight uint32 `json:"in_flight"`
	Rejected uint64 `json:"rejected_total"`
	Most     int    `json:"max_concurrent"`
}

// Upstream is what is known of the cluster's hosts.
type Upstream struct {
	NoHealthyHost bool `json:"no_healthy_host"`
}

// Failover is where requests go while the breaker is open.
type Failover struct {
	To    []string `json:"to"`
	Total uint64   `json:"to_total"`
}

// Redis is the calls to Redis. State is off where no policy has a Redis.
type Redis struct {
	State  string `json:"state"` // ok, trouble, off
	Calls  uint64 `json:"calls_total"`
	Errors uint64 `json:"errors_total"`
}

func modeName(m policy.Mode) string { return [...]string{"enforce", "shadow", "off"}[m] }

func algorithmName(a policy.Algorithm) string {
	return [...]string{"sliding_window", "token_bucket", "adaptive"}[a]
}

func scopeName(s policy.Scope) string { return [...]string{"proxy", "mesh"}[s] }

func forcedName(f breaker.Forced) string { return [...]string{"auto", "open", "closed"}[f] }

// causeName is null for a breaker that never moved, and where a Weir before this one moved it last.
func causeName(c breaker.Cause) *string {
	if c == breaker.NoTransition {
		return nil
	}
	name := c.String()
	return &name
}

// at is the time of day of a reading of the monotonic clock, nil for never.
func (m Moment) at(then int64) *string {
	if then == 0 {
		return nil
	}
	text := rfc3339(m.Wall - (m.Now - then))
	return &text
}

// rfc3339 is a time in nanoseconds since 1970, to the millisecond, as 2006-01-02T15:04:05.000Z.
// (Time.Format would do the same with 30 KB more of a module.)
func rfc3339(wall int64) string {
	t := time.Unix(0, wall).UTC()
	year, month, day := t.Date()
	b := make([]byte, 0, len("2006-01-02T15:04:05.000Z"))
	for _, part := range [...]struct {
		n, digits int
		before    byte
	}{
		{year, 4, 0},
		{int(month), 2, '-'},
		{day, 2, '-'},
		{t.Hour(), 2, 'T'},
		{t.Minute(), 2, ':'},
		{t.Second(), 2, ':'},
		{t.Nanosecond() / 1e6, 3, '.'},
	} {
		if part.before != 0 {
			b = append(b, part.before)
		}
		for unit := [...]int{1, 10, 100, 1000}[part.digits-1]; unit > 0; unit /= 10 {
			b = append(b, '0'+byte(part.n/unit%10))
		}
	}
	return string(append(b, 'Z'))
}

// seconds is a duration, to the millisecond.
func seconds(d time.Duration) float64 {
	return float64(d.Round(time.Millisecond)) / float64(time.Second)
}
