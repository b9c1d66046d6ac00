package replay

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/tetratelabs/wazero"

	"github.com/weir-mesh/weir/envoy/internal/replay/proxyhost"
	"github.com/weir-mesh/weir/filter/metric"
)

// Decision is what was decided about a request.
type Decision uint8

// The decisions.
const (
	Unasked Decision = iota // its cluster has no policy
	Admitted
	RateLimited
	CircuitOpen
	BulkheadFull
	decisions
)

func (d Decision) refused() bool { return d >= RateLimited }

// Transition is a change of a breaker's state.
type Transition struct {
	At      time.Time `json:"at"`
	Cluster string    `json:"cluster"`
	To      string    `json:"to"`    // open, half_open, closed
	Cause   string    `json:"cause"` // as the filter logs it
}

// Decisions are what a policy decided about each request of a log.
type Decisions struct {
	Of          []Decision // as the log's requests
	Transitions []Transition
	Faults      []string // errors of the filter itself, a few
}

// RunOptions are the options of Run.
type RunOptions struct {
	Wasm        []byte // weir.wasm
	Environment map[string]string
	Cache       wazero.CompilationCache // so that several runs compile the module once; nil: none
	Progress    func(requests int)      // nil: none
}

// Run lets the filter with a policy decide about all requests of a log.
func Run(ctx context.Context, log *Log, p *Prepared, o RunOptions) (*Decisions, error) {
	r := &runner{log: log, decisions: &Decisions{Of: make([]Decision, len(log.requests))}}
	start, _ := log.Span()
	host, err := proxyhost.New(ctx, o.Wasm, proxyhost.Options{
		Configuration: p.JSON, Environment: o.Environment, Events: r, Cache: o.Cache, Start: start.Add(-time.Second),
	})
	if err != nil {
		return nil, withFaults(err, r.decisions.Faults)
	}
	r.host = host
	asked := make([]bool, len(log.clusters.all)) // by cluster
	for i, name := range log.clusters.all {
		asked[i] = p.Document.For(name) != nil
	}
	if err = r.all(ctx, asked, o.Progress); err != nil {
		err = withFaults(err, r.decisions.Faults)
	}
	if closing := host.Close(ctx); err == nil {
		err = closing
	}
	return r.decisions, err
}

func withFaults(err error, faults []string) error {
	if len(faults) == 0 {
		return err
	}
	return fmt.Errorf("%w; the filter's log: %s", err, strings.Join(faults, "; "))
}

// runner is one run.
type runner struct {
	host      *proxyhost.Host
	log       *Log
	decisions *Decisions
	events    events
	idle      []*proxyhost.Stream // to be used again
	causes    bool                // the next line of the log has the cause of the last transition
	now       int64
}

func (r *runner) all(ctx context.Context, asked []bool, progress func(int)) error {
	for i := range r.log.requests {
		req := &r.log.requests[i]
		if progress != nil && i%progressEvery == 0 {
			progress(i)
			if err := ctx.Err(); err != nil {
				return err
			}
		}
		if !asked[req.cluster] {
			continue
		}
		if err := r.until(ctx, req.start); err != nil {
			return err
		}
		if err := r.begin(ctx, i, req); err != nil {
			return fmt.Errorf("line %d: %w", req.line, err)
		}
	}
	const forever = 1<<63 - 1
	return r.until(ctx, forever)
}

// until lets all that ends until then end.
func (r *runner) until(ctx context.Context, at int64) error {
	for {
		e, due := r.events.next(at)
		if !due {
			return nil
		}
		if err := r.advance(ctx, e.at); err != nil {
			return err
		}
		if err := r.end(ctx, e); err != nil {
			return fmt.Errorf("line %d: %w", r.log.requests[e.request].line, err)
		}
	}
}

func (r *runner) advance(ctx context.Context, to int64) error {
	r.now = to
	return r.host.Advance(ctx, time.Unix(0, to))
}

func (r *runner) begin(ctx context.Context, i int, req *request) error {
	if err := r.advance(ctx, req.start); err != nil {
		return err
	}
	s := r.stream()
	*s = proxyhost.Stream{
		Request: bytesOf(r.log.sets.all[req.set]), Cluster: r.log.clusters.all[req.cluster], Route: r.log.routes.all[req.route],
		Source: r.log.sources.all[req.source],
	}
	passes, err := r.host.Begin(ctx, s)
	if err != nil {
		return err
	}
	if !passes {
		r.decisions.Of[i] = refusal(s.Replied)
		if r.decisions.Of[i] == Admitted {
			return fmt.Errorf("the filter answers with details %q, which this command does not know", s.Replied)
		}
		s.Details = s.Replied
		r.idle = append(r.idle, s)
		return r.host.End(ctx, s)
	}
	r.decisions.Of[i] = Admitted
	s.Response = bytesOf(r.log.answers.all[req.answer])
	at, kind := req.end, finish
	if req.ending <= cut && req.first < req.end {
		at, kind = req.first, respond
	}
	r.events.add(event{at, uint32(i), kind, s})
	return nil
}

// refusal reads the details of a local reply.
func refusal(details string) Decision {
	switch details {
	case "weir_rate_limited":
		return RateLimited
	case "weir_circuit_open":
		return CircuitOpen
	case "weir_bulkhead_full":
		return BulkheadFull
	}
	return Admitted
}

// end carries out an event.
func (r *runner) end(ctx context.Context, e event) error {
	req, s := &r.log.requests[e.request], e.stream
	details := r.log.details.all[req.details]
	responded := func(ended bool) error { // its headers come; what cuts it off comes later
		s.Details = details
		switch req.ending {
		case cut:
			s.Details = viaUpstream
		case local:
			s.Details = otherFilter
		}
		return r.host.Respond(ctx, s, ended)
	}
	if e.kind == respond {
		r.events.add(event{req.end, e.request, finishBody, s})
		return responded(false)
	}
	var err error
	switch {
	case e.kind == finishBody && req.ending != cut:
		err = r.host.Body(ctx, s)
	case e.kind == finishBody || req.ending == silent:
	default:
		err = responded(req.ending != cut)
	}
	if err != nil {
		return err
	}
	s.Details = details
	r.idle = append(r.idle, s)
	return r.host.End(ctx, s)
}

func (r *runner) stream() *proxyhost.Stream {
	last := len(r.idle) - 1
	if last < 0 {
		return &proxyhost.Stream{}
	}
	s := r.idle[last]
	r.idle = r.idle[:last]
	return s
}

// Counted implements proxyhost.Events.
func (r *runner) Counted(name string, by uint64) {
	if rest, ok := strings.CutPrefix(name, metric.BreakerTransitionsTotal.Name+"_cluster_="); ok && by > 0 {
		cluster, to, _ := strings.Cut(rest, ";_to_=")
		r.decisions.Transitions = append(r.decisions.Transitions, Transition{
			At: time.Unix(0, r.now).UTC(), Cluster: cluster, To: strings.TrimSuffix(to, ";"),
		})
		r.causes = true
	}
}

// Logged implements proxyhost.Events.
func (r *runner) Logged(level uint32, line []byte) {
	const (
		errorLevel = 4
		mostFaults = 5
	)
	if r.causes { // `weir: CLUSTER: circuit breaker closed -> open (CAUSE)`
		r.causes = false
		if _, cause, ok := strings.Cut(string(line), " ("); ok {
			r.decisions.Transitions[len(r.decisions.Transitions)-1].Cause = strings.TrimSuffix(cause, ")")
		}
	}
	if level >= errorLevel && len(r.decisions.Faults) < mostFaults {
		r.decisions.Faults = append(r.decisions.Faults, string(line))
	}
}
