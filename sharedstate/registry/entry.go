package registry

import (
	"strings"

	"github.com/weir-mesh/weir/policy"
)

// Entry is one cluster, and the part of its policy that a View needs. Of the sections Policy has only:
//
//	rate_limit       Algorithm, Scope, Requests, Window, Burst, Refill, Adaptive…, BackoffFactor, RecoveryFactor,
//	                 MaxKeys, Show, and Key's kinds without the names
//	circuit_breaker  FailureThreshold, SuccessThreshold, HalfOpenMaxCalls, RecoveryTimeout, MaxRecoveryTimeout, and
//	                 the Threshold of FailureRate and SlowCalls
//	retry            MaxAttempts, Budget
//	fallback         EnableCache, MaxEntries
//	bulkhead         MaxConcurrent
//	failover         To
type Entry struct {
	Cluster string // of a policy by name policy.NamedCluster
	Named   string // the policy's name, "": it is the cluster's own
	Policy  policy.Policy

	OwnBreaker bool // of a policy by name: see policy.Document.OwnBreaker

	// Of the document, where the limit has scope mesh: what happens without Redis, and how many proxies share the limit then where
	// Redis never replied.
	OnError policy.OnError
	Proxies int64
}

// WithRedis is the entry in a document with this section, which may be nil.
func (e Entry) WithRedis(r *policy.Redis) Entry {
	if l := e.Policy.RateLimit; r != nil && l != nil && l.Scope == policy.ScopeMesh {
		e.OnError, e.Proxies = r.OnError, r.ExpectedProxies
	}
	return e
}

// BreakerOf is the name of the record with the breaker and the retry budget.
func (e *Entry) BreakerOf() string {
	if e.OwnBreaker {
		return e.Cluster
	}
	return e.Upstream()
}

// Upstream is the cluster that the requests go to. It has the kept responses.
func (e *Entry) Upstream() string {
	if e.Named == "" {
		return e.Cluster
	}
	return strings.TrimSuffix(e.Cluster, "@"+e.Named)
}

// fields visits the packed fields in their order, to write or to read them. Codec says how each is packed.
func (e *Entry) fields(c *codec) {
	p := &e.Policy
	text(c, &e.Cluster)
	text(c, &e.Named)
	boolean(c, &e.OwnBreaker)
	enum(c, &p.Mode, policy.ModeOff)
	has := sectionsOf(p)
	enum(c, &has, allSections)
	if l := section(c, &p.RateLimit, has&hasLimit); l != nil {
		enum(c, &l.Algorithm, policy.Adaptive)
		enum(c, &l.Scope, policy.ScopeMesh)
		number(c, &l.Requests)
		number(c, &l.Window)
		number(c, &l.Burst)
		float(c, &l.Refill)
		float(c, &l.AdaptiveThreshold)
		float(c, &l.BackoffFactor)
		float(c, &l.RecoveryFactor)
		number(c, &l.AdaptiveInterval)
		number(c, &l.AdaptiveMinSamples)
		number(c, &l.MaxKeys)
		enum(c, &l.Show, policy.ShowOff)
		count(c, &l.Key)
		for i := range l.Key {
			enum(c, &l.Key[i].Kind, policy.KeyMethod)
		}
		if l.Scope == policy.ScopeMesh {
			enum(c, &e.OnError, policy.OnErrorDeny)
			number(c, &e.Proxies)
		}
	}
	if b := section(c, &p.CircuitBreaker, has&hasBreaker); b != nil {
		number(c, &b.FailureThreshold)
		number(c, &b.SuccessThreshold)
		number(c, &b.HalfOpenMaxCalls)
		number(c, &b.RecoveryTimeout)
		number(c, &b.MaxRecoveryTimeout)
		if rate := section(c, &b.FailureRate, has&hasFailureRate); rate != nil {
			float(c, &rate.Threshold)
		}
		if slow := section(c, &b.SlowCalls, has&hasSlowCalls); slow != nil {
			float(c, &slow.Threshold)
		}
	}
	if r := section(c, &p.Retry, has&hasRetry); r != nil {
		number(c, &r.MaxAttempts)
		float(c, &r.Budget.Percent)
		float(c, &r.Budget.MinPerSecond)
	}
	if f := section(c, &p.Fallback, has&hasFallback); f != nil {
		boolean(c, &f.EnableCache)
		number(c, &f.MaxEntries)
	}
	if b := section(c, &p.Bulkhead, has&hasBulkhead); b != nil {
		number(c, &b.MaxConcurrent)
	}
	if f := section(c, &p.Failover, has&hasFailover); f != nil {
		count(c, &f.To)
		for i := range f.To {
			text(c, &f.To[i])
		}
	}
}

// sections is a set of the sections that a policy has.
type sections uint8

const (
	hasLimit sections = 1 << iota
	hasBreaker
	hasRetry
	hasFallback
	hasBulkhead
	hasFailover
	hasFailureRate // of the circuit breaker, as the next
	hasSlowCalls

	allSections sections = 1<<8 - 1
)

func sectionsOf(p *policy.Policy) (s sections) {
	b := p.CircuitBreaker
	for i, has := range [...]bool{
		p.RateLimit != nil, b != nil, p.Retry != nil, p.Fallback != nil, p.Bulkhead != nil, p.Failover != nil,
		b != nil && b.FailureRate != nil, b != nil && b.SlowCalls != nil,
	} {
		if has {
			s |= 1 << i
		}
	}
	return s
}

// AppendTo packs the entry behind b.
func (e *Entry) AppendTo(b []byte) []byte {
	c := codec{packed: b, writing: true}
	e.fields(&c)
	return c.packed
}

// Unpack reads a packed entry. Where the bytes are none, ok is false and the entry stays as it is.
func (e *Entry) Unpack(b []byte) (ok bool) {
	c := codec{packed: b}
	var read Entry
	read.fields(&c)
	if c.broken || len(c.packed) > 0 {
		return false
	}
	*e = read
	return true
}
