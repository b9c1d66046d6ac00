package status

import (
	"encoding/json"

	"github.com/weir-mesh/weir/filter/adminapi"
)

// Flat is a cluster's status in one flat object, whose names are those of the Python library that Weir brings to Envoy: of
// resilience_manager.get_service_health and advanced_rate_limiter.get_rate_limit_status. What the policy does not have is null.
type Flat struct {
	Mode             string        `json:"mode"`
	State            *string       `json:"state"` // closed, open, half_open
	FailureCount     *float64      `json:"failure_count"`
	SuccessCount     *float64      `json:"success_count"`
	FailureThreshold *float64      `json:"failure_threshold"`
	RecoveryTimeout  *float64      `json:"recovery_timeout"` // seconds
	SuccessThreshold *float64      `json:"success_threshold"`
	OpenedAt         *string       `json:"opened_at"`
	RetryAfter       *float64      `json:"retry_after"` // seconds until the next probe
	Algorithm        *string       `json:"algorithm"`
	PerMinute        *float64      `json:"requests_per_minute"` // the current limit
	Configured       *float64      `json:"configured_requests_per_minute"`
	Remaining        *float64      `json:"remaining"`    // null too: each key has its own limit
	SuccessRate      *float64      `json:"success_rate"` // 0 to 1; by which an adaptive limit changes, else that of all admitted requests
	Limited          *float64      `json:"limited_total"`
	Sources          *flatFallback `json:"source"` // answers by their source, since the start or the last reset
}

type flatFallback struct {
	Upstream float64 `json:"upstream"`
	adminapi.Fallback
}

// FlatOf is a cluster's flat status.
func FlatOf(c *adminapi.Cluster) Flat {
	f := Flat{Mode: c.Mode}
	if b := c.Breaker; b != nil {
		f.State, f.FailureCount, f.SuccessCount, f.RetryAfter = &b.State, &b.FailureCount, &b.SuccessCount, &b.RetryAfter
		f.FailureThreshold, f.RecoveryTimeout, f.SuccessThreshold = &b.FailureThreshold, &b.RecoveryTimeout, &b.SuccessThreshold
		if b.OpenedAt != nil {
			at := b.OpenedAt.Time().Format("2006-01-02T15:04:05.000Z07:00")
			f.OpenedAt = &at
		}
	}
	if l := c.RateLimit; l != nil {
		f.Algorithm, f.PerMinute, f.Configured = &l.Algorithm, &l.PerMinute, &l.ConfiguredPerMinute
		f.Remaining, f.SuccessRate, f.Limited = l.Remaining, l.SuccessRate, &l.LimitedTotal
	}
	if u := c.Upstream; u != nil && f.SuccessRate == nil {
		f.SuccessRate = u.SuccessRate
	}
	if a := c.Answers; a != nil {
		f.Sources = &flatFallback{a.Upstream, a.Fallback}
	}
	return f
}

// FlatAll are the flat statuses of all clusters, by their names.
func FlatAll(clusters map[string]adminapi.Cluster) map[string]Flat {
	all := make(map[string]Flat, len(clusters))
	for name, c := range clusters {
		all[name] = FlatOf(&c)
	}
	return all
}

// FlatJSON writes one Flat, or what has several, as JSON formats a server's.
func FlatJSON(flat any, indented bool) ([]byte, error) {
	raw, err := json.Marshal(flat)
	if err != nil {
		return nil, err
	}
	return JSON(raw, indented)
}
