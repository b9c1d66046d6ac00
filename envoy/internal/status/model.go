package status

import "time"

// Status is GET /status. Sections that a policy does not have are nil; so is what is not known. Times are UTC, durations
// are numbers of seconds.
type Status struct {
	Time     time.Time          `json:"time"`
	Clusters map[string]Cluster `json:"clusters"`
	LeftOut  bool               `json:"left_out"` // there are more clusters than Weir keeps account of
	Redis    *Redis             `json:"redis"`
}

// Cluster is one cluster's part of it, and all of GET /status/CLUSTER.
type Cluster struct {
	Mode      string     `json:"mode"` // enforce, shadow, off
	Breaker   *Breaker   `json:"circuit_breaker"`
	RateLimit *RateLimit `json:"rate_limit"`
	Requests  *Requests  `json:"requests"`
	Answers   *Answers   `json:"answers"`
	Retry     *Retry     `json:"retry"`
	Bulkhead  *Bulkhead  `json:"bulkhead"`
	Upstream  *Upstream  `json:"upstream"`
	Failover  *Failover  `json:"failover"`
}

// Breaker is a circuit breaker.
type Breaker struct {
	State            string     `json:"state"`  // closed, open, half_open
	Forced           string     `json:"forced"` // auto, open, closed
	Since            *time.Time `json:"since"`  // nil: the state never changed
	Cause            string     `json:"cause"`  // of that change, by breaker.Cause's names; empty: none, or not told
	Failures         float64    `json:"failure_count"`
	Successes        float64    `json:"success_count"`
	OpenedAt         *time.Time `json:"opened_at"`
	RetryAfter       *float64   `json:"retry_after"` // until the next probe
	Opens            float64    `json:"opens_total"`
	FailureThreshold float64    `json:"failure_threshold"`
	SuccessThreshold float64    `json:"success_threshold"`
	RecoveryTimeout  float64    `json:"recovery_timeout"`
	FailureRate      *float64   `json:"failure_rate_threshold"` // 0 to 1; nil: the policy has none
	SlowCalls        *float64   `json:"slow_calls_threshold"`
}

// RateLimit is a limit. Remaining is nil where requests are counted by key, SuccessRate (0 to 1) where it is not known.
type RateLimit struct {
	Algorithm   string   `json:"algorithm"`
	Scope       string   `json:"scope"`
	PerMinute   float64  `json:"requests_per_minute"` // now, which differs from Configured where it is adaptive
	Configured  float64  `json:"configured_requests_per_minute"`
	Remaining   *float64 `json:"remaining"`
	SuccessRate *float64 `json:"success_rate"`
	Limited     float64  `json:"limited_total"`
	Keyed       bool     `json:"keyed"`
	Window      float64  `json:"window"`
}

// Requests are the decisions so far.
type Requests struct {
	Allowed      float64 `json:"allowed"`
	RateLimited  float64 `json:"rate_limited"`
	CircuitOpen  float64 `json:"circuit_open"`
	BulkheadFull float64 `json:"bulkhead_full"`
}

// Answers are the answers so far, by source.
type Answers struct {
	Upstream   float64 `json:"upstream"`
	Cache      float64 `json:"cache"`
	StaleCache float64 `json:"stale_cache"`
	Default    float64 `json:"default"`
	Degraded   float64 `json:"degraded"`
	Error      float64 `json:"error"`
}

// Retry is what the retries came to. BudgetRemaining is how many more there may be now.
type Retry struct {
	Attempts        float64  `json:"attempts_total"`
	Exhausted       float64  `json:"exhausted_total"`
	BudgetRemaining *float64 `json:"budget_remaining"`
}

// Bulkhead is the places for requests at one time.
type Bulkhead struct {
	InFlight      float64 `json:"in_flight"`
	Rejected      float64 `json:"rejected_total"`
	MaxConcurrent float64 `json:"max_concurrent"`
}

// Upstream is what the filter can know of the cluster's hosts.
type Upstream struct {
	NoHealthyHost bool `json:"no_healthy_host"`
}

// Failover is where requests go while the breaker is open.
type Failover struct {
	To    []string `json:"to"`
	Total float64  `json:"to_total"`
}

// Redis is the state of the calls to Redis: ok, trouble, or off where no limit is of scope mesh.
type Redis struct {
	State  string  `json:"state"`
	Calls  float64 `json:"calls_total"`
	Errors float64 `json:"errors_total"`
}

func (r *Requests) refused() float64 { return r.RateLimited + r.CircuitOpen + r.BulkheadFull }

func (a *Answers) fallback() float64 { return a.Cache + a.StaleCache + a.Default + a.Degraded }
