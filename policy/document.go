// Package policy reads the policy document: what its users write for each upstream cluster, checked as a whole
// and made ready for the request's path.
//
// The pure parts that a policy is made of (limits, breaker, fallback …) are its sub-packages; they know no proxy,
// no clock and no document.
package policy

import "time"

// Mode says what a cluster's policy may do.
type Mode uint8

// The modes of a policy.
const (
	ModeEnforce Mode = iota // decide and act
	ModeShadow              // decide, count and label, never act
	ModeOff                 // the cluster passes untouched
)

// Document is a policy document without mistakes, defaults filled in.
type Document struct {
	Clusters []Cluster // exact names and patterns, in no order that matters; see For
	Default  *Policy   // the policy of clusters that match nothing; nil: they pass untouched
	Redis    *Redis    // nil: absent
	Admin    bool      // `admin: {}`: this plugin serves the admin API and holds no policy
	// AdminHosts are names under which browsers may ask for the admin API, beside addresses and private names; lower case.
	AdminHosts []string
}

// Cluster is one entry of `clusters`.
type Cluster struct {
	Pattern string // a cluster's name; `*` in it matches any run of characters, the empty one included
	Policy  *Policy
}

// Policy is what is enforced for one cluster. A nil section is off.
type Policy struct {
	Mode           Mode
	RateLimit      *RateLimit
	CircuitBreaker *CircuitBreaker
	Retry          *Retry
	Fallback       *Fallback
	Bulkhead       *Bulkhead
	Failover       *Failover
}

// Algorithm names a rate limit's algorithm.
type Algorithm uint8

// The algorithms of a rate limit.
const (
	SlidingWindow Algorithm = iota
	TokenBucket
	Adaptive
)

// Scope says who shares a limit.
type Scope uint8

// The scopes of a rate limit.
const (
	ScopeProxy Scope = iota // all workers of this Envoy
	ScopeMesh               // all proxies, through Redis
)

// HeadersMode says which answers carry RateLimit headers.
type HeadersMode uint8

// When RateLimit headers are sent.
const (
	HeadersRefused HeadersMode = iota // on refusals
	HeadersAll                        // on each answer
	HeadersNone
)

// RateLimit is the section `rate_limit`.
type RateLimit struct {
	Algorithm Algorithm
	Requests  int64         // the limit of one window, at least 1: `requests`, or requests_per_minute x window_size / 60 s rounded down
	Window    time.Duration // window_size
	Burst     int64         // burst_capacity, at least 1
	Refill    float64       // refill_rate, tokens a second

	AdaptiveThreshold  float64
	BackoffFactor      float64
	RecoveryFactor     float64
	AdaptiveInterval   time.Duration
	AdaptiveMinSamples int

	Scope   Scope
	Lease   Lease
	Key     []KeyPart
	MaxKeys int
	Headers HeadersMode
}

// Lease is `rate_limit.lease`.
type Lease struct {
	MaxTokens int64         // 0: sized by the filter, 1: one Redis call a request
	TTL       time.Duration // never more than Window/10, whatever was written
}

// KeyKind says where a part of a limit's key is read from.
type KeyKind uint8

// The parts that a limit's key can be made of.
const (
	KeyHeader KeyKind = iota
	KeyQuery
	KeyCookie
	KeyClientIP
	KeyPath
	KeyMethod
)

// KeyPart is one entry of `rate_limit.key`. Name is set for header (lower case), query and cookie.
type KeyPart struct {
	Kind KeyKind
	Name string
}

// CircuitBreaker is the section `circuit_breaker`.
type CircuitBreaker struct {
	FailureThreshold   int
	RecoveryTimeout    time.Duration
	SuccessThreshold   int
	HalfOpenMaxCalls   int
	Timeout            time.Duration
	TimeoutWritten     bool // `timeout` stands in the document: the router is told too
	FailureRate        *FailureRate
	SlowCalls          *SlowCalls
	MaxRecoveryTimeout time.Duration
	ExpectedFailures   Failures
}

// FailureRate is `circuit_breaker.failure_rate`.
type FailureRate struct {
	Threshold float64
	Window    time.Duration
	MinCalls  int
}

// SlowCalls is `circuit_breaker.slow_calls`.
type SlowCalls struct {
	SlowerThan time.Duration
	Threshold  float64
	Window     time.Duration
	MinCalls   int
}

// Failures is a set of outcomes that count as failures, written as a list: a class of statuses (`5xx`), a status
// (`"429"`), reset, connect_failure, timeout, a gRPC code (`"grpc:unavailable"`).
type Failures struct {
	Statuses       [600]bool // by status code, 100 to 599
	GRPC           [17]bool  // by gRPC code, 0 to 16
	Reset          bool
	ConnectFailure bool
	Timeout        bool
}

// RetryDriver says who sends a request again.
type RetryDriver uint8

// The drivers of a retry.
const (
	DriverEnvoy RetryDriver = iota
	DriverFilter
)

// Retry is the section `retry`.
type Retry struct {
	MaxAttempts     int
	BaseDelay       time.Duration
	MaxDelay        time.Duration
	ExponentialBase float64
	Jitter          bool
	RetryOn         Failures
	Methods         []string
	PerTryTimeout   time.Duration // 0: none
	Budget          RetryBudget
	Driver          RetryDriver
	MaxBodyBytes    int64
	Via             string
}

// RetryBudget is `retry.budget`.
type RetryBudget struct {
	Percent      float64
	MinPerSecond float64
}

// Reasons is a set of the reasons for which a fallback may answer.
type Reasons struct {
	CircuitOpen     bool
	UpstreamFailure bool
	BulkheadFull    bool
	RateLimited     bool
}

// Fallback is the section `fallback`.
type Fallback struct {
	EnableCache     bool
	TTL             time.Duration // fallback_data_ttl
	Staleness       time.Duration // cache_staleness_threshold
	CacheKeyHeaders []string      // lower case
	MaxEntries      int
	MaxBodyBytes    int64
	EnableDefault   bool
	Default         *DefaultData // nil: none was written, the step is passed over
	EnableDegraded  bool
	DegradedStatus  int
	Limitations     []string
	On              Reasons
}

// DefaultData is `fallback.default_data`, ready to be sent.
type DefaultData struct {
	Status  int
	Headers [][2]string // names in lower case, in the order of the document's form
	Body    []byte      // any JSON, compact; or a string's bytes as they are
}

// Bulkhead is the section `bulkhead`.
type Bulkhead struct{ MaxConcurrent int }

// Failover is the section `failover`.
type Failover struct {
	To     []string
	Header string // lower case
}

// Dialect names the HTTP bridge's way of speaking.
type Dialect uint8

// The dialects of the HTTP bridge to Redis.
const (
	DialectWebdis Dialect = iota
	DialectUpstash
)

// OnError says what a mesh limit does while Redis is gone.
type OnError uint8

// What a mesh limit does while Redis is gone.
const (
	OnErrorLocal OnError = iota
	OnErrorAllow
	OnErrorDeny
)

// Redis is the section `redis`.
type Redis struct {
	Cluster   string
	Dialect   Dialect
	Token     string
	Timeout   time.Duration
	KeyPrefix string
	OnError   OnError
}
