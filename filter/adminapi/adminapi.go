// Package adminapi is the JSON of Weir's admin API: GET /status is a Status, GET /status/CLUSTER a Cluster. The filter
// writes it and the weir command reads it. Other programs may import it: it depends on little.
//
//	{"time": "2026-11-24T10:00:00.000Z", "version": "0.2.0+tinygo",
//	 "clusters": {"aws_pricing": {"mode": "enforce", …}}, "redis": {…}}
//
// # Versions
//
// A reader may be older or newer than the filter. Unknown fields are ignored. Missing fields are zero, and a section
// that is missing is nil. All numbers are float64, so that a reader also takes numbers with a fraction or an
// exponent. Durations are seconds.
package adminapi

// Status is GET /status.
type Status struct {
	Time     Time               `json:"time"`
	Version  string             `json:"version"` // the module's, such as "0.2.0+tinygo"; empty: older than 0.2.0
	Envoy    *Envoy             `json:"envoy"`
	Clusters map[string]Cluster `json:"clusters"`
	LeftOut  bool               `json:"left_out,omitempty"` // there are more clusters than Weir publishes
	Redis    *Redis             `json:"redis"`

	Policies  []Policy   `json:"policies"`                 // in force, the one that came last first; one that was replaced stays for some 5 s
	Misrouted *Misrouted `json:"misrouted,omitempty"`      // nil: none in the last hour
	Missing   *Missing   `json:"policy_missing,omitempty"` // nil: none in the last hour
	Refused   *Refused   `json:"policy_refused,omitempty"` // nil: the filter refused no policy since the last one started

	Transitions []Transition `json:"transitions"` // of all circuit breakers, the last 32, the newest first
}

// Envoy is the proxy that answers.
type Envoy struct {
	Node    string `json:"node"`    // node.id of its bootstrap, or --service-node; "": it has none
	Version string `json:"version"` // such as "1.40.0"; "": it does not say
	Since   *Time  `json:"since"`   // when Weir started in it: all counts begin there
}

// Transition is a change of a circuit breaker's state.
type Transition struct {
	At      Time   `json:"at"`
	Cluster string `json:"cluster"`
	From    string `json:"from"` // closed, open, half_open
	To      string `json:"to"`
	Cause   string `json:"cause"` // as in Envoy's log: "consecutive_failures, status 503"
}

// Policy is a policy document in force.
type Policy struct {
	Version uint32 `json:"version"` // the metric weir_policy_version: a hash of what is written, the same in all proxies that have it
	Since   Time   `json:"since"`

	Unmatched []string `json:"unmatched,omitempty"` // patterns that no request's cluster has matched since
}

// Refused is the policy document that the filter refused last. What was in force before stays in force. That it was put
// back since is not known here: Envoy does not start the filter again for it.
type Refused struct {
	At      Time     `json:"at"`
	Version uint32   `json:"version,omitempty"` // 0: it could not be read at all
	Reasons []string `json:"reasons"`
}

// Misrouted is the last request that went to another cluster than the one whose policy decided about it.
type Misrouted struct {
	Cluster string  `json:"cluster"` // whose policy decided; "none": the request had no cluster then
	To      string  `json:"to"`      // where it went
	At      Time    `json:"at"`
	Total   float64 `json:"total"` // such requests between these two that were seen: of the others one of 64 is looked at
}

// Missing is the last request whose route, or whose cluster, has metadata with the name of a policy that the document does not
// have. It got the cluster's own policy.
type Missing struct {
	Cluster string  `json:"cluster"`
	Policy  string  `json:"policy"` // the name that was not found
	At      Time    `json:"at"`
	Total   float64 `json:"total"` // such requests to this cluster
}

// Cluster is one cluster. It has the sections that its policy has; with mode off there are none.
type Cluster struct {
	Name      string     `json:"cluster,omitempty"` // only in GET /status/CLUSTER
	Mode      string     `json:"mode"`              // enforce, shadow, off
	Policy    string     `json:"policy,omitempty"`  // of a policy by name: its name, and the member's name is CLUSTER@NAME
	Unseen    bool       `json:"unseen,omitempty"`  // no request went to it since Envoy's start
	Breaker   *Breaker   `json:"circuit_breaker,omitempty"`
	RateLimit *RateLimit `json:"rate_limit,omitempty"`
	Requests  *Requests  `json:"requests"`
	Answers   *Answers   `json:"answers"`
	Fallback  *Fallback  `json:"fallback,omitempty"`
	Cache     *Cache     `json:"cache,omitempty"` // where the fallback has one
	Retry     *Retry     `json:"retry,omitempty"`
	Bulkhead  *Bulkhead  `json:"bulkhead,omitempty"`
	Upstream  *Upstream  `json:"upstream"`
	Failover  *Failover  `json:"failover,omitempty"`

	Transitions []Transition `json:"transitions,omitempty"` // only in GET /status/CLUSTER: its of Status.Transitions
}

// Breaker is a circuit breaker.
type Breaker struct {
	State                string   `json:"state"`  // closed, open, half_open
	Forced               string   `json:"forced"` // auto, open, closed
	Since                *Time    `json:"since"`  // nil: the state never changed
	Cause                *string  `json:"cause"`  // of the last change, a name of breaker.Cause; nil: none, or not known
	FailureCount         float64  `json:"failure_count"`
	SuccessCount         float64  `json:"success_count"`
	OpenedAt             *Time    `json:"opened_at"`   // nil: it is not open
	RetryAfter           float64  `json:"retry_after"` // until the next probe
	OpensTotal           float64  `json:"opens_total"`
	FailureThreshold     float64  `json:"failure_threshold"`
	SuccessThreshold     float64  `json:"success_threshold"`
	RecoveryTimeout      float64  `json:"recovery_timeout"`
	FailureRateThreshold *float64 `json:"failure_rate_threshold"` // 0 to 1; nil: the policy has no failure_rate
	SlowCallsThreshold   *float64 `json:"slow_calls_threshold"`   // 0 to 1; nil: the policy has no slow_calls
}

// RateLimit is a limit.
type RateLimit struct {
	Algorithm           string   `json:"algorithm"`           // sliding_window, token_bucket, adaptive
	Scope               string   `json:"scope"`               // proxy, mesh
	PerMinute           float64  `json:"requests_per_minute"` // in force: an adaptive limit moves
	ConfiguredPerMinute float64  `json:"configured_requests_per_minute"`
	Remaining           *float64 `json:"remaining"`    // nil: each key has its own limit
	SuccessRate         *float64 `json:"success_rate"` // 0 to 1; nil: not adaptive, or not known yet
	LimitedTotal        float64  `json:"limited_total"`
	Keyed               bool     `json:"keyed"`
	Window              float64  `json:"window"` // of a token bucket: from empty to full

	RefusedKeys *RefusedKeys `json:"refused_keys,omitempty"` // nil: none yet, not by key, or the policy has show_keys: off

	WithoutRedis *WithoutRedis `json:"without_redis,omitempty"` // nil: scope proxy, or calls to Redis succeed
}

// WithoutRedis is what a limit of scope mesh does now, since calls to Redis fail.
type WithoutRedis struct {
	Since     Time     `json:"since"`
	OnError   string   `json:"on_error"`            // local, allow, deny
	Proxies   float64  `json:"proxies"`             // that shared the limit by Redis's last reply; without any redis.expected_proxies
	PerMinute *float64 `json:"requests_per_minute"` // that each of them admits by itself; nil: on_error is not local
}

// RefusedKeys are the keys that a limit refused most, or would have refused in shadow, in the last quarter of an hour in which it
// refused any.
type RefusedKeys struct {
	Since Time         `json:"since"`
	Last  Time         `json:"last"`
	Total float64      `json:"total"` // of all keys
	Keys  []RefusedKey `json:"keys"`  // at most 16, the most frequent first
}

// RefusedKey is a key.
type RefusedKey struct {
	Key     string  `json:"key"`            // a hash, 16 hexadecimal digits, the same in this process's log and access log
	Text    string  `json:"text,omitempty"` // "(none)", "(ambiguous)", and with show_keys: plain the key itself
	AtLeast float64 `json:"at_least"`       // how often it was refused. Of at most 16 keys, both are the exact number
	AtMost  float64 `json:"at_most"`        //
}

// Requests counts the decisions.
type Requests struct {
	Allowed      float64 `json:"allowed"`
	RateLimited  float64 `json:"rate_limited"`
	CircuitOpen  float64 `json:"circuit_open"`
	BulkheadFull float64 `json:"bulkhead_full"`
}

// Answers counts the answers by their source.
type Answers struct {
	Upstream float64 `json:"upstream"`
	Fallback
}

// Fallback counts the answers that are not upstream's.
type Fallback struct {
	Cache      float64 `json:"cache"`
	StaleCache float64 `json:"stale_cache"`
	Default    float64 `json:"default"`
	Degraded   float64 `json:"degraded"`
	Error      float64 `json:"error"`
}

// Cache is the answers that are kept. The names of NotKept, why answers were not kept, and NotUsed, why a request that needed a kept
// answer got none, are those of the label `reason` of weir_cache_not_kept_total and weir_cache_not_used_total; those that are 0 are
// left out.
type Cache struct {
	Entries    float64            `json:"entries"`
	MaxEntries float64            `json:"max_entries"`
	Bytes      float64            `json:"bytes"`  // of the entries
	Hits       float64            `json:"hits"`   // requests that got one
	Misses     float64            `json:"misses"` // requests that needed one and got none: the sum of NotUsed
	NotKept    map[string]float64 `json:"not_kept"`
	NotUsed    map[string]float64 `json:"not_used"`
}

// Retry counts the retries.
type Retry struct {
	AttemptsTotal   float64  `json:"attempts_total"`
	ExhaustedTotal  float64  `json:"exhausted_total"`  // requests whose last retry failed
	BudgetRemaining *float64 `json:"budget_remaining"` // retries that the budget admits now

	// Uncarried counts the further attempts of driver: filter that were not made, or whose responses were not used, by the label
	// `reason` of weir_attempts_uncarried_total; those that are 0 are left out.
	Uncarried map[string]Uncarried `json:"uncarried,omitempty"`
}

// Uncarried is how many attempts were not carried for one reason.
type Uncarried struct {
	Count  float64 `json:"count"`
	Advice string  `json:"advice"` // what to do
}

// Bulkhead is the limit of requests in flight.
type Bulkhead struct {
	InFlight      float64 `json:"in_flight"`
	RejectedTotal float64 `json:"rejected_total"`
	MaxConcurrent float64 `json:"max_concurrent"`
}

// Upstream is what Weir knows of the cluster's upstream.
type Upstream struct {
	NoHealthyHost bool     `json:"no_healthy_host"`
	FailedTotal   float64  `json:"failed_total"` // admitted requests that failed in the end, after all retries, by expected_failures
	SuccessRate   *float64 `json:"success_rate"` // 0 to 1, of the admitted requests that have ended; nil: there was none
}

// Failover is where requests go while the breaker is open.
type Failover struct {
	To      []string `json:"to"`
	ToTotal float64  `json:"to_total"`
}

// Redis counts the calls to Redis.
type Redis struct {
	State       string  `json:"state"` // ok, trouble, off: no policy has a Redis
	CallsTotal  float64 `json:"calls_total"`
	ErrorsTotal float64 `json:"errors_total"`

	LastError *RedisError `json:"last_error,omitempty"` // nil: none yet
}

// RedisError is why a call to Redis failed.
type RedisError struct {
	Name    string `json:"name"`              // Redis's own word such as MISCONF, else a value of weir_redis_calls_total's label result
	Message string `json:"message"`           // what Redis, the bridge or Envoy said
	Advice  string `json:"advice"`            // what to do
	Cluster string `json:"cluster,omitempty"` // whose limit it concerns; "": all
	At      *Time  `json:"at"`
}
