package directory

import (
	"encoding/binary"
	"math"
	"time"

	"github.com/weir-mesh/weir/policy"
)

// Entry is one cluster, and as much of its policy as is needed to read its record. Of the sections Policy has only:
//
//	rate_limit       Algorithm, Scope, Requests, Window, Burst, Refill, Adaptive…, BackoffFactor, RecoveryFactor,
//	                 MaxKeys, and Key's kinds without the names
//	circuit_breaker  FailureThreshold, SuccessThreshold, HalfOpenMaxCalls, RecoveryTimeout, MaxRecoveryTimeout, and
//	                 the Threshold of FailureRate and SlowCalls
//	retry            MaxAttempts, Budget
//	fallback         EnableCache, MaxEntries
//	bulkhead         MaxConcurrent
//	failover         To
type Entry struct {
	Cluster string
	Policy  policy.Policy
}

// The sections of a packed entry.
const (
	hasLimit = 1 << iota
	hasBreaker
	hasRetry
	hasFallback
	hasBulkhead
	hasFailover
	allSections = 1<<iota - 1
)

// The packed form: v is an unsigned varint (encoding/binary), f64 the bits of a float, little endian, text a v and as many
// bytes.
//
//	text  cluster
//	u8    mode
//	u8    sections that follow, in this order: 1 rate_limit, 2 circuit_breaker, 4 retry, 8 fallback, 16 bulkhead, 32 failover
//
//	rate_limit       u8 algorithm, u8 scope, v requests, v window ns, v burst, f64 refill, f64 threshold, f64 backoff, f64 recovery,
//	                 v interval ns, v samples, v max keys, v parts of the key and u8 kind of each
//	circuit_breaker  v failures, v successes, v probes, v recovery ns, v max recovery ns, f64 failure rate, f64 slow calls (0: none)
//	retry            v attempts, f64 percent, f64 a second
//	fallback         u8 cache, v entries
//	bulkhead         v most
//	failover         v clusters and text of each

// AppendTo packs the entry behind b.
func (e *Entry) AppendTo(b []byte) []byte {
	p := &e.Policy
	b = appendText(b, e.Cluster)
	sections := len(b) + 1
	b = append(b, byte(p.Mode), 0)
	if l := p.RateLimit; l != nil {
		b[sections] |= hasLimit
		b = append(b, byte(l.Algorithm), byte(l.Scope))
		b = appendNumber(b, l.Requests)
		b = appendNumber(b, int64(l.Window))
		b = appendNumber(b, l.Burst)
		b = appendFloat(b, l.Refill)
		b = appendFloat(b, l.AdaptiveThreshold)
		b = appendFloat(b, l.BackoffFactor)
		b = appendFloat(b, l.RecoveryFactor)
		b = appendNumber(b, int64(l.AdaptiveInterval))
		b = appendNumber(b, int64(l.AdaptiveMinSamples))
		b = appendNumber(b, int64(l.MaxKeys))
		b = appendNumber(b, int64(len(l.Key)))
		for _, part := range l.Key {
			b = append(b, byte(part.Kind))
		}
	}
	if c := p.CircuitBreaker; c != nil {
		b[sections] |= hasBreaker
		b = appendNumber(b, int64(c.FailureThreshold))
		b = appendNumber(b, int64(c.SuccessThreshold))
		b = appendNumber(b, int64(c.HalfOpenMaxCalls))
		b = appendNumber(b, int64(c.RecoveryTimeout))
		b = appendNumber(b, int64(c.MaxRecoveryTimeout))
		rate, slow := 0.0, 0.0
		if c.FailureRate != nil {
			rate = c.FailureRate.Threshold
		}
		if c.SlowCalls != nil {
			slow = c.SlowCalls.Threshold
		}
		b = appendFloat(appendFloat(b, rate), slow)
	}
	if r := p.Retry; r != nil {
		b[sections] |= hasRetry
		b = appendNumber(b, int64(r.MaxAttempts))
		b = appendFloat(b, r.Budget.Percent)
		b = appendFloat(b, r.Budget.MinPerSecond)
	}
	if f := p.Fallback; f != nil {
		b[sections] |= hasFallback
		cache := byte(0)
		if f.EnableCache {
			cache = 1
		}
		b = append(b, cache)
		b = appendNumber(b, int64(f.MaxEntries))
	}
	if k := p.Bulkhead; k != nil {
		b[sections] |= hasBulkhead
		b = appendNumber(b, int64(k.MaxConcurrent))
	}
	if f := p.Failover; f != nil {
		b[sections] |= hasFailover
		b = appendNumber(b, int64(len(f.To)))
		for _, to := range f.To {
			b = appendText(b, to)
		}
	}
	return b
}

// (Inlined in each of their places, these two would take 10 KB of a module.)
//
//go:noinline
func appendNumber(b []byte, n int64) []byte { return binary.AppendUvarint(b, uint64(max(n, 0))) }

//go:noinline
func appendFloat(b []byte, f float64) []byte {
	return binary.LittleEndian.AppendUint64(b, math.Float64bits(f))
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// Unpack reads a packed entry. Bytes that no entry packs to are no error: ok is false then.
func (e *Entry) Unpack(b []byte) (ok bool) {
	r := reader{rest: b}
	got := Entry{Cluster: r.text()}
	p := &got.Policy
	p.Mode = policy.Mode(r.byte(byte(policy.ModeOff)))
	sections := r.byte(allSections)
	if sections&hasLimit != 0 {
		p.RateLimit = r.rateLimit()
	}
	if sections&hasBreaker != 0 {
		p.CircuitBreaker = &policy.CircuitBreaker{
			FailureThreshold:   int(r.number()),
			SuccessThreshold:   int(r.number()),
			HalfOpenMaxCalls:   int(r.number()),
			RecoveryTimeout:    time.Duration(r.number()),
			MaxRecoveryTimeout: time.Duration(r.number()),
		}
		if rate := r.float(); rate != 0 {
			p.CircuitBreaker.FailureRate = &policy.FailureRate{Threshold: rate}
		}
		if slow := r.float(); slow != 0 {
			p.CircuitBreaker.SlowCalls = &policy.SlowCalls{Threshold: slow}
		}
	}
	if sections&hasRetry != 0 {
		p.Retry = &policy.Retry{
			MaxAttempts: int(r.number()),
			Budget:      policy.RetryBudget{Percent: r.float(), MinPerSecond: r.float()},
		}
	}
	if sections&hasFallback != 0 {
		p.Fallback = &policy.Fallback{EnableCache: r.byte(1) == 1, MaxEntries: int(r.number())}
	}
	if sections&hasBulkhead != 0 {
		p.Bulkhead = &policy.Bulkhead{MaxConcurrent: int(r.number())}
	}
	if sections&hasFailover != 0 {
		p.Failover = &policy.Failover{}
		for range r.count() {
			p.Failover.To = append(p.Failover.To, r.text())
		}
	}
	if r.broken || len(r.rest) > 0 {
		return false
	}
	*e = got
	return true
}

// reader takes a packed entry apart. After the first mistake it gives zeros.
type reader struct {
	rest   []byte
	broken bool
}

func (r *reader) rateLimit() *policy.RateLimit {
	l := &policy.RateLimit{
		Algorithm:          policy.Algorithm(r.byte(byte(policy.Adaptive))),
		Scope:              policy.Scope(r.byte(byte(policy.ScopeMesh))),
		Requests:           r.number(),
		Window:             time.Duration(r.number()),
		Burst:              r.number(),
		Refill:             r.float(),
		AdaptiveThreshold:  r.float(),
		BackoffFactor:      r.float(),
		RecoveryFactor:     r.float(),
		AdaptiveInterval:   time.Duration(r.number()),
		AdaptiveMinSamples: int(r.number()),
		MaxKeys:            int(r.number()),
	}
	for range r.count() {
		l.Key = append(l.Key, policy.KeyPart{Kind: policy.KeyKind(r.byte(byte(policy.KeyMethod)))})
	}
	return l
}

func (r *reader) take(n int) []byte {
	if r.broken || n < 0 || n > len(r.rest) {
		r.broken, r.rest = true, nil
		return nil
	}
	taken := r.rest[:n]
	r.rest = r.rest[n:]
	return taken
}

// byte is the next one, which is at most `most`.
func (r *reader) byte(most byte) byte {
	b := r.take(1)
	if len(b) == 0 || b[0] > most {
		r.broken = true
		return 0
	}
	return b[0]
}

// number is the next varint, of at most 62 bits.
func (r *reader) number() int64 {
	n, size := binary.Uvarint(r.rest)
	if size <= 0 || n > 1<<62 {
		r.broken, r.rest = true, nil
		return 0
	}
	r.rest = r.rest[size:]
	return int64(n)
}

// count is a number of things of a byte or more that follow.
func (r *reader) count() int {
	n := r.number()
	if n > int64(len(r.rest)) {
		r.broken = true
		return 0
	}
	return int(n)
}

func (r *reader) float() float64 {
	b := r.take(8)
	if b == nil {
		return 0
	}
	f := math.Float64frombits(binary.LittleEndian.Uint64(b))
	if math.IsNaN(f) || math.IsInf(f, 0) {
		r.broken = true
		return 0
	}
	return f
}

func (r *reader) text() string { return string(r.take(r.count())) }
