package replay

import (
	"time"

	"github.com/weir-mesh/weir/envoy/internal/replay/accesslog"
)

// Report is what `weir replay --json` prints.
type Report struct {
	Log      LogReport      `json:"log"`
	Policies []PolicyReport `json:"policies"` // one, or two with --against
	// Differences are by cluster what only one of two policies refuses.
	Differences []Difference `json:"differences,omitempty"`
}

// LogReport is what was read.
type LogReport struct {
	Lines          int       `json:"lines"`
	Unreadable     int       `json:"unreadable"`
	FirstMistakes  []Mistake `json:"first_mistakes,omitempty"`
	WithoutCluster int       `json:"without_cluster"`
	RefusedByWeir  int       `json:"refused_by_weir"` // when the log was written
	Requests       int       `json:"requests"`        // with a cluster
	From           time.Time `json:"from"`
	To             time.Time `json:"to"`
}

// Mistake is a line that can't be read.
type Mistake struct {
	Line   int    `json:"line"`
	Reason string `json:"reason"`
}

// PolicyReport is what one policy would have decided.
type PolicyReport struct {
	File          string            `json:"file"`
	Notes         []string          `json:"notes,omitempty"` // how the replay differs from the policy
	Clusters      []ClusterReport   `json:"clusters"`
	WithoutPolicy []UncoveredReport `json:"without_policy,omitempty"`
	Transitions   []Transition      `json:"transitions"`
	Faults        []string          `json:"faults,omitempty"`
}

// UncoveredReport is a cluster that the policy says nothing about.
type UncoveredReport struct {
	Cluster  string `json:"cluster"`
	Requests int    `json:"requests"`
}

// ClusterReport is a cluster with a policy.
type ClusterReport struct {
	Cluster      string `json:"cluster"`
	Requests     int    `json:"requests"`
	Admitted     int    `json:"admitted"`
	RateLimited  int    `json:"rate_limited"`
	CircuitOpen  int    `json:"circuit_open"`
	BulkheadFull int    `json:"bulkhead_full"`

	FullestMinute  Minute `json:"fullest_minute"`
	MostConcurrent int    `json:"most_concurrent"` // as the log has them, all admitted

	Keys        *KeysReport  `json:"keys,omitempty"` // of a limit by key
	Suggestions []Suggestion `json:"suggestions,omitempty"`
}

// Refused is how many requests were refused.
func (c *ClusterReport) Refused() int { return c.RateLimited + c.CircuitOpen + c.BulkheadFull }

// Minute is one minute by the clock, UTC.
type Minute struct {
	At       time.Time `json:"at"`
	Requests int       `json:"requests"`
	Refused  int       `json:"refused"`
}

// KeysReport is about a limit by key.
type KeysReport struct {
	By      string      `json:"by"` // header x-api-key, client_ip
	Keys    int         `json:"keys"`
	Refused int         `json:"refused"` // keys of which a request was refused by the limit
	Most    []KeyReport `json:"most"`    // refused, then asked
}

// KeyReport is one key.
type KeyReport struct {
	Key         string `json:"key"`
	Requests    int    `json:"requests"`
	RateLimited int    `json:"rate_limited"`
	Need        int    `json:"need"` // the limit by which none would have been refused
}

// Suggestion is a number for a policy, see need.go.
type Suggestion struct {
	Path  string  `json:"path"` // within the cluster's policy
	Value float64 `json:"value"`
	Now   float64 `json:"now"` // as the policy has it
	Why   string  `json:"why"`
}

// Difference is what changes for a cluster between two policies.
type Difference struct {
	Cluster     string `json:"cluster"`
	OnlyFirst   int    `json:"refused_only_by_first"`
	OnlySecond  int    `json:"refused_only_by_second"`
	Both        int    `json:"refused_by_both"`
	OtherReason int    `json:"for_another_reason"` // of those refused by both
}

// ReportLog describes a log.
func ReportLog(l *Log) LogReport {
	r := LogReport{
		Lines: l.Lines, Unreadable: l.Unreadable, WithoutCluster: l.WithoutCluster, RefusedByWeir: l.RefusedByWeir,
		Requests: l.Requests(),
	}
	r.From, r.To = l.Span()
	for _, m := range l.FirstMistakes {
		r.FirstMistakes = append(r.FirstMistakes, mistake(m))
	}
	return r
}

func mistake(e accesslog.LineError) Mistake { return Mistake{e.Line, e.Reason} }
