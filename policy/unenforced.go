package policy

// Unenforced lists what the document asks for and this version of the filter does not do yet, as a *Mistakes; nil
// where it does everything. A caller that would start to enforce the document refuses it then: a limit that is not
// kept is worse than a proxy that says so. A cluster with mode off asks for nothing.
func (doc *Document) Unenforced() error {
	u := &unenforced{}
	if doc.Redis != nil {
		u.note("redis", "the section", "leave it out")
	}
	if doc.Admin {
		u.note("admin", "the admin API", "leave this plugin out")
	}
	doc.each(func(path string, p *Policy) {
		if p.Mode != ModeOff {
			u.policy(path, p)
		}
	})
	return asError(u.list)
}

type unenforced struct{ list []Mistake }

// note says that what, at path, is not enforced, and what to write instead.
func (u *unenforced) note(path, what, instead string) {
	u.list = append(u.list, Mistake{path, what + " is not enforced by this version of Weir yet; " + instead})
}

func (u *unenforced) policy(path string, p *Policy) {
	if p.Mode == ModeShadow {
		u.note(path+".mode", "shadow", "write enforce or off")
	}
	if r := p.RateLimit; r != nil {
		u.rateLimit(path+".rate_limit", r)
	}
	if b := p.CircuitBreaker; b != nil {
		if b.FailureRate != nil {
			u.note(path+".circuit_breaker.failure_rate", "a failure rate", "leave it out")
		}
		if b.SlowCalls != nil {
			u.note(path+".circuit_breaker.slow_calls", "a rate of slow calls", "leave it out")
		}
	}
	if p.Retry != nil {
		u.note(path+".retry", "the section", "leave it out")
	}
	if f := p.Fallback; f != nil && f.EnableCache {
		u.note(path+".fallback.enable_cache_fallback", "the cache", "write false")
	}
	if p.Bulkhead != nil {
		u.note(path+".bulkhead", "the section", "leave it out")
	}
	if p.Failover != nil {
		u.note(path+".failover", "the section", "leave it out")
	}
}

func (u *unenforced) rateLimit(path string, r *RateLimit) {
	switch r.Algorithm {
	case SlidingWindow:
		u.note(path+".algorithm", "sliding_window", "use token_bucket")
	case Adaptive:
		u.note(path+".algorithm", "adaptive", "use token_bucket")
	case TokenBucket:
	}
	if r.Scope == ScopeMesh {
		u.note(path+".scope", "mesh", "use proxy")
	}
	if len(r.Key) > 0 {
		u.note(path+".key", "a key", "write []")
	}
}
