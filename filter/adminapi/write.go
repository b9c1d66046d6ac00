package adminapi

import (
	"github.com/weir-mesh/weir/policy/heapsort"
	"github.com/weir-mesh/weir/policy/jsontext"
)

// This file writes what encoding/json would write by the fields' tags. The filter does without encoding/json: its reflection and its
// sorting were 90 KB of the Wasm module.

// Write appends the status.
func (s *Status) Write(w *jsontext.Writer) {
	w.Open('{')
	text(w, "time", s.Time.rfc3339())
	text(w, "version", s.Version)
	w.Name("envoy")
	if e := s.Envoy; e == nil {
		w.Null()
	} else {
		w.Open('{')
		text(w, "node", e.Node)
		text(w, "version", e.Version)
		moment(w, "since", e.Since)
		w.Close('}')
	}
	w.Name("clusters")
	if s.Clusters == nil {
		w.Null()
	} else {
		w.Open('{')
		for _, name := range names(s.Clusters) {
			c := s.Clusters[name]
			w.Name(name)
			c.Write(w)
		}
		w.Close('}')
	}
	if s.LeftOut {
		boolean(w, "left_out", true)
	}
	w.Name("redis")
	if s.Redis == nil {
		w.Null()
	} else {
		s.Redis.write(w)
	}
	w.Name("policies")
	if s.Policies == nil {
		w.Null()
	} else {
		w.Open('[')
		for _, p := range s.Policies {
			w.Open('{')
			number(w, "version", float64(p.Version))
			text(w, "since", p.Since.rfc3339())
			if len(p.Unmatched) > 0 {
				texts(w, "unmatched", p.Unmatched)
			}
			w.Close('}')
		}
		w.Close(']')
	}
	if m := s.Misrouted; m != nil {
		w.Name("misrouted")
		w.Open('{')
		text(w, "cluster", m.Cluster)
		text(w, "to", m.To)
		text(w, "at", m.At.rfc3339())
		number(w, "total", m.Total)
		w.Close('}')
	}
	if m := s.Missing; m != nil {
		w.Name("policy_missing")
		w.Open('{')
		text(w, "cluster", m.Cluster)
		text(w, "policy", m.Policy)
		text(w, "at", m.At.rfc3339())
		number(w, "total", m.Total)
		w.Close('}')
	}
	if r := s.Refused; r != nil {
		w.Name("policy_refused")
		w.Open('{')
		text(w, "at", r.At.rfc3339())
		if r.Version != 0 {
			number(w, "version", float64(r.Version))
		}
		texts(w, "reasons", r.Reasons)
		w.Close('}')
	}
	transitions(w, s.Transitions)
	w.Close('}')
}

func transitions(w *jsontext.Writer, all []Transition) {
	w.Name("transitions")
	if all == nil {
		w.Null()
		return
	}
	w.Open('[')
	for i := range all {
		t := &all[i]
		w.Open('{')
		text(w, "at", t.At.rfc3339())
		text(w, "cluster", t.Cluster)
		text(w, "from", t.From)
		text(w, "to", t.To)
		text(w, "cause", t.Cause)
		w.Close('}')
	}
	w.Close(']')
}

// Write appends the status of one cluster.
func (c *Cluster) Write(w *jsontext.Writer) {
	w.Open('{')
	if c.Name != "" {
		text(w, "cluster", c.Name)
	}
	text(w, "mode", c.Mode)
	if c.Policy != "" {
		text(w, "policy", c.Policy)
	}
	if c.Unseen {
		boolean(w, "unseen", true)
	}
	if c.Breaker != nil {
		w.Name("circuit_breaker")
		c.Breaker.write(w)
	}
	if c.RateLimit != nil {
		w.Name("rate_limit")
		c.RateLimit.write(w)
	}
	w.Name("requests")
	if r := c.Requests; r == nil {
		w.Null()
	} else {
		w.Open('{')
		number(w, "allowed", r.Allowed)
		number(w, "rate_limited", r.RateLimited)
		number(w, "circuit_open", r.CircuitOpen)
		number(w, "bulkhead_full", r.BulkheadFull)
		w.Close('}')
	}
	w.Name("answers")
	if a := c.Answers; a == nil {
		w.Null()
	} else {
		w.Open('{')
		number(w, "upstream", a.Upstream)
		a.members(w)
		w.Close('}')
	}
	if c.Fallback != nil {
		w.Name("fallback")
		w.Open('{')
		c.Fallback.members(w)
		w.Close('}')
	}
	if c.Cache != nil {
		a := c.Cache
		w.Name("cache")
		w.Open('{')
		number(w, "entries", a.Entries)
		number(w, "max_entries", a.MaxEntries)
		number(w, "bytes", a.Bytes)
		number(w, "hits", a.Hits)
		number(w, "misses", a.Misses)
		counts(w, "not_kept", a.NotKept)
		counts(w, "not_used", a.NotUsed)
		w.Close('}')
	}
	if r := c.Retry; r != nil {
		w.Name("retry")
		w.Open('{')
		number(w, "attempts_total", r.AttemptsTotal)
		number(w, "exhausted_total", r.ExhaustedTotal)
		optional(w, "budget_remaining", r.BudgetRemaining)
		if len(r.Uncarried) > 0 {
			w.Name("uncarried")
			w.Open('{')
			for _, why := range names(r.Uncarried) {
				w.Name(why)
				w.Open('{')
				number(w, "count", r.Uncarried[why].Count)
				text(w, "advice", r.Uncarried[why].Advice)
				w.Close('}')
			}
			w.Close('}')
		}
		w.Close('}')
	}
	if b := c.Bulkhead; b != nil {
		w.Name("bulkhead")
		w.Open('{')
		number(w, "in_flight", b.InFlight)
		number(w, "rejected_total", b.RejectedTotal)
		number(w, "max_concurrent", b.MaxConcurrent)
		w.Close('}')
	}
	w.Name("upstream")
	if u := c.Upstream; u == nil {
		w.Null()
	} else {
		w.Open('{')
		boolean(w, "no_healthy_host", u.NoHealthyHost)
		number(w, "failed_total", u.FailedTotal)
		optional(w, "success_rate", u.SuccessRate)
		w.Close('}')
	}
	if f := c.Failover; f != nil {
		w.Name("failover")
		w.Open('{')
		texts(w, "to", f.To)
		number(w, "to_total", f.ToTotal)
		w.Close('}')
	}
	if len(c.Transitions) > 0 {
		transitions(w, c.Transitions)
	}
	w.Close('}')
}

func (b *Breaker) write(w *jsontext.Writer) {
	w.Open('{')
	text(w, "state", b.State)
	text(w, "forced", b.Forced)
	moment(w, "since", b.Since)
	w.Name("cause")
	if b.Cause == nil {
		w.Null()
	} else {
		w.String(*b.Cause)
	}
	number(w, "failure_count", b.FailureCount)
	number(w, "success_count", b.SuccessCount)
	moment(w, "opened_at", b.OpenedAt)
	number(w, "retry_after", b.RetryAfter)
	number(w, "opens_total", b.OpensTotal)
	number(w, "failure_threshold", b.FailureThreshold)
	number(w, "success_threshold", b.SuccessThreshold)
	number(w, "recovery_timeout", b.RecoveryTimeout)
	optional(w, "failure_rate_threshold", b.FailureRateThreshold)
	optional(w, "slow_calls_threshold", b.SlowCallsThreshold)
	w.Close('}')
}

func (l *RateLimit) write(w *jsontext.Writer) {
	w.Open('{')
	text(w, "algorithm", l.Algorithm)
	text(w, "scope", l.Scope)
	number(w, "requests_per_minute", l.PerMinute)
	number(w, "configured_requests_per_minute", l.ConfiguredPerMinute)
	optional(w, "remaining", l.Remaining)
	optional(w, "success_rate", l.SuccessRate)
	number(w, "limited_total", l.LimitedTotal)
	boolean(w, "keyed", l.Keyed)
	number(w, "window", l.Window)
	if k := l.RefusedKeys; k != nil {
		w.Name("refused_keys")
		k.write(w)
	}
	if r := l.WithoutRedis; r != nil {
		w.Name("without_redis")
		w.Open('{')
		text(w, "since", r.Since.rfc3339())
		text(w, "on_error", r.OnError)
		number(w, "proxies", r.Proxies)
		optional(w, "requests_per_minute", r.PerMinute)
		w.Close('}')
	}
	w.Close('}')
}

func (k *RefusedKeys) write(w *jsontext.Writer) {
	w.Open('{')
	text(w, "since", k.Since.rfc3339())
	text(w, "last", k.Last.rfc3339())
	number(w, "total", k.Total)
	w.Name("keys")
	if k.Keys == nil {
		w.Null()
		w.Close('}')
		return
	}
	w.Open('[')
	for i := range k.Keys {
		key := &k.Keys[i]
		w.Open('{')
		text(w, "key", key.Key)
		if key.Text != "" {
			text(w, "text", key.Text)
		}
		number(w, "at_least", key.AtLeast)
		number(w, "at_most", key.AtMost)
		w.Close('}')
	}
	w.Close(']')
	w.Close('}')
}

func (f *Fallback) members(w *jsontext.Writer) {
	number(w, "cache", f.Cache)
	number(w, "stale_cache", f.StaleCache)
	number(w, "default", f.Default)
	number(w, "degraded", f.Degraded)
	number(w, "error", f.Error)
}

func (r *Redis) write(w *jsontext.Writer) {
	w.Open('{')
	text(w, "state", r.State)
	number(w, "calls_total", r.CallsTotal)
	number(w, "errors_total", r.ErrorsTotal)
	if e := r.LastError; e != nil {
		w.Name("last_error")
		w.Open('{')
		text(w, "name", e.Name)
		text(w, "message", e.Message)
		text(w, "advice", e.Advice)
		if e.Cluster != "" {
			text(w, "cluster", e.Cluster)
		}
		moment(w, "at", e.At)
		w.Close('}')
	}
	w.Close('}')
}

func text(w *jsontext.Writer, name, s string) {
	w.Name(name)
	w.String(s)
}

// texts writes null for nil, as encoding/json does.
func texts(w *jsontext.Writer, name string, all []string) {
	w.Name(name)
	if all == nil {
		w.Null()
		return
	}
	w.Strings(all)
}

func number(w *jsontext.Writer, name string, n float64) {
	w.Name(name)
	w.Number(n)
}

func optional(w *jsontext.Writer, name string, n *float64) {
	w.Name(name)
	if n == nil {
		w.Null()
		return
	}
	w.Number(*n)
}

func boolean(w *jsontext.Writer, name string, b bool) {
	w.Name(name)
	w.Bool(b)
}

func moment(w *jsontext.Writer, name string, t *Time) {
	w.Name(name)
	if t == nil {
		w.Null()
		return
	}
	w.String(t.rfc3339())
}

// counts writes an object of numbers in the order of their names, and null for nil.
func counts(w *jsontext.Writer, name string, all map[string]float64) {
	w.Name(name)
	if all == nil {
		w.Null()
		return
	}
	w.Open('{')
	for _, name := range names(all) {
		number(w, name, all[name])
	}
	w.Close('}')
}

// names are a map's keys in the order of their bytes.
func names[V any](all map[string]V) []string {
	sorted := make([]string, 0, len(all))
	for name := range all {
		sorted = append(sorted, name)
	}
	heapsort.Strings(sorted)
	return sorted
}
