// Package policy decodes the policy document: what users write for each upstream cluster. It fills in the defaults and
// reports all mistakes at once.
//
//	bytes (JSON | Struct) ──► value ──► ${NAME} ──► section by section ──► Document, or *Mistakes
//	                       json.go      substitute  root.go, retry.go, …
//	                       structpb.go
//
// The algorithms (rate limits, breaker, fallback …) are its sub-packages; they do not depend on a proxy, a clock or
// this document.
package policy

import (
	"time"

	"github.com/weir-mesh/weir/policy/statuses"
)

// Mode is what the filter does with a cluster's policy.
type Mode uint8

// The modes of a policy.
const (
	ModeEnforce Mode = iota // decide and act
	ModeShadow              // decide, count and label, never act
	ModeOff                 // ignore the policy
)

// Document is a valid policy document with its defaults filled in.
type Document struct {
	Clusters  []Cluster // exact names and patterns; their order has no meaning, see For
	Default   *Policy   // the policy of clusters that match no entry; nil: nothing is enforced for them
	Policies  []Named   // in no particular order; see Named
	Redis     *Redis    // nil: absent
	AccessLog AccessLog

	Admin    bool   // `admin: {}`: this plugin serves the admin API and has no policy
	Attempts bool   // `attempts: {}`: this plugin stands in the internal listener of retry.via and has no policy
	Hash     uint64 // of what is written, see Version
	// AdminHosts are host names by which browsers may use the admin API, in addition to IP addresses and private names;
	// lower case.
	AdminHosts []string
}

// Cluster is one entry of `clusters`.
type Cluster struct {
	Pattern string // a cluster's name; `*` in it matches any run of characters, also an empty one
	Policy  *Policy
}

// Named is one entry of `policies`: what is enforced for the requests of a route, or of a cluster, whose metadata has its
// name, instead of the cluster's own policy.
type Named struct {
	Name   string
	Policy *Policy
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

// Scope is who shares a limit.
type Scope uint8

// The scopes of a rate limit.
const (
	ScopeProxy Scope = iota // all workers of this Envoy
	ScopeMesh               // all proxies, through Redis
)

// HeadersMode is which responses have RateLimit headers.
type HeadersMode uint8

// When RateLimit headers are sent.
const (
	HeadersRefused HeadersMode = iota // on refusals
	HeadersAll                        // on each response
	HeadersNone
)

// RateLimit is the section `rate_limit`.
type RateLimit struct {
	Algorithm Algorithm
	Requests  int64         // in each window: `requests`, or requests_per_minute x window_size / 60 s, rounded down, at least 1
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
	Shards  int // parts of the limit, each in a slot of a Redis Cluster of its own; 1: it is not split
	Key     []KeyPart
	MaxKeys int
	Show    ShowKeys // show_keys
	Headers HeadersMode
}

// ShowKeys is how operators see the keys that a limit refuses.
type ShowKeys uint8

// The values of `show_keys`.
const (
	ShowHash  ShowKeys = iota // a hash that can't be turned back
	ShowPlain                 // the hash and the key itself
	ShowOff                   // nothing
)

// Lease is `rate_limit.lease`.
type Lease struct {
	MaxTokens int64         // 0: the filter sizes the lease; 1: one Redis call for each request
	TTL       time.Duration // at most Window/10, also if more is written
}

// KeyKind is where a part of a limit's key comes from.
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

// KeyPart is one entry of `rate_limit.key`.
type KeyPart struct {
	Kind KeyKind
	Name string // of a header (lower case), query or cookie

	// Of {client_ip: {…}}: how many bits of an address count, from 1. Zeros are the plain client_ip, the whole address.
	IPv4Prefix, IPv6Prefix uint8
}

// CircuitBreaker is the section `circuit_breaker`.
type CircuitBreaker struct {
	FailureThreshold   int
	RecoveryTimeout    time.Duration
	SuccessThreshold   int
	HalfOpenMaxCalls   int
	Timeout            time.Duration
	TimeoutWritten     bool // `timeout` is written in the document: the router gets it as well
	FailureRate        *FailureRate
	SlowCalls          *SlowCalls
	MaxRecoveryTimeout time.Duration
	MinClientDeadline  time.Duration // that upstream must have had; what a shorter deadline of a client ends is no failure
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
	Statuses       statuses.Set // 100 to 599
	GRPC           [17]bool     // by gRPC code, 0 to 16
	Reset          bool
	ConnectFailure bool
	Timeout        bool
}

// RetryDriver is who sends the retries.
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
	Shared          bool          // answers depend on nothing but the cache's key
	MaxEntries      int
	MaxBodyBytes    int64
	Methods         []string // whose requests the cache and Default may answer
	EnableDefault   bool
	Default         *DefaultData // nil: not written, this fallback is skipped where DefaultByPath has nothing
	DefaultByPath   []PathDefault
	EnableDegraded  bool
	DegradedStatus  int
	DegradedWritten bool // degraded.status is written: it replaces upstream's own status
	Limitations     []string
	On              Reasons
}

// DefaultData is `fallback.default_data`, ready to be sent.
type DefaultData struct {
	Status  int
	Headers [][2]string // names in lower case, in the order of the document's form
	Body    []byte      // any JSON, compact; or a string's bytes as they are
}

// PathDefault is one entry of `fallback.default_data_by_path`.
type PathDefault struct {
	Pattern string
	Data    *DefaultData
}

// Bulkhead is the section `bulkhead`.
type Bulkhead struct{ MaxConcurrent int }

// Failover is the section `failover`.
type Failover struct {
	To     []string
	Header string // lower case
}

// Dialect is the request format of the HTTP bridge.
type Dialect uint8

// The dialects of the HTTP bridge to Redis.
const (
	DialectWebdis Dialect = iota
	DialectUpstash
)

// OnError is what a mesh limit does while Redis is unavailable.
type OnError uint8

// What a mesh limit does while Redis is unavailable.
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
	// ExpectedProxies share a limit where Redis has never told how many do.
	ExpectedProxies int64
}
