package admin

import (
	"bytes"
	"time"

	"github.com/weir-mesh/weir/filter/adminapi"
	"github.com/weir-mesh/weir/filter/version"
	"github.com/weir-mesh/weir/policy/heapsort"
	"github.com/weir-mesh/weir/policy/jsontext"
	"github.com/weir-mesh/weir/sharedstate/registry"
)

const (
	// AtOnce is how many clusters a status may have to be rendered in one call, while the worker serves no traffic.
	AtOnce = 20
	// Piece is how many clusters each call renders after the first.
	Piece = 10
	// keptFor is how long a status that took several calls is sent to whoever asks.
	keptFor = time.Second
)

// Ticket is a rendering of GET /status that a request waits for. They are numbered from 1.
type Ticket uint32

// renderings are those of GET /status. A request gets
//
//	the kept status              it is at most a second old, and no operator changed anything since it was begun
//	the status that is rendered  likewise
//	the one after it             an operator changed something: what is rendered may be of before
//
// So whoever asks waits for two renderings at most, however often operators change something.
type renderings struct {
	last    Ticket     // that was given
	current *rendering // nil: none
	after   Ticket     // the rendering that is begun when current ends, 0: none
	kept    *rendering // the one that ended last, nil: none
}

// outdated keeps later requests from getting a status that was begun before now.
func (r *renderings) outdated() {
	r.kept = nil
	if r.current != nil {
		r.current.outdated = true
	}
}

func (r *renderings) newTicket() Ticket {
	r.last++
	return r.last
}

// rendering is GET /status, made a few clusters at a time: of 1,000 clusters it takes some hundred milliseconds of Wasm.
type rendering struct {
	ticket   Ticket
	began    Instant
	change   int64 // registry.LastChange before it began
	outdated bool  // an operator's action of this worker came after it began
	scan     *registry.Scan
	clusters []renderedCluster
	response Response
	ended    int64
}

// renderedCluster is one member of the JSON object "clusters".
type renderedCluster struct {
	name string
	json []byte
}

// all responds to GET /status: at once with a kept one or where there are few clusters, else later.
func (h *Handler) all(at Instant) (Response, *httpError) {
	change, err := registry.LastChange(h.store)
	if err != nil {
		return Response{}, h.internalError(err)
	}
	r := &h.renderings
	if kept := r.kept; kept != nil && kept.change == change && at.Monotonic-kept.ended < int64(keptFor) {
		return kept.response, nil
	}
	switch {
	case r.current == nil && r.after == 0:
		return h.begin(r.newTicket(), change, at)
	case r.current != nil && !r.current.outdated && r.current.change == change:
		return Response{Waits: r.current.ticket}, nil
	case r.after == 0:
		r.after = r.newTicket()
	}
	return Response{Waits: r.after}, nil
}

// begin renders the first clusters, and the status where that is all of them.
func (h *Handler) begin(ticket Ticket, change int64, at Instant) (Response, *httpError) {
	scan, err := registry.NewScan(h.store, at.Monotonic)
	if err != nil {
		return Response{}, h.internalError(err)
	}
	c := &rendering{ticket: ticket, began: at, change: change, scan: scan}
	if failed := h.renderSome(c, AtOnce, at); failed != nil {
		return Response{}, failed
	}
	if !scan.More() {
		return h.finish(c)
	}
	h.renderings.current = c
	return Response{Waits: ticket}, nil
}

// Rendering reports whether there is work for Continue.
func (h *Handler) Rendering() bool { return h.renderings.current != nil || h.renderings.after != 0 }

// Continue renders the next clusters. Where that ends a rendering, response is for all who wait for this ticket; else
// the ticket is 0.
func (h *Handler) Continue(at Instant) (done Ticket, response Response) {
	r := &h.renderings
	c := r.current
	var failed *httpError
	switch {
	case c == nil && r.after == 0:
		return 0, Response{}
	case c == nil:
		done, r.after = r.after, 0
		change, err := registry.LastChange(h.store)
		if err != nil {
			failed = h.internalError(err)
		} else if response, failed = h.begin(done, change, at); failed == nil && response.Waits != 0 {
			return 0, Response{}
		}
	case c.scan.More():
		if failed = h.renderSome(c, Piece, at); failed == nil {
			return 0, Response{} // the end is a call of its own: it joins a megabyte
		}
		done, r.current = c.ticket, nil
	default:
		done, r.current = c.ticket, nil
		if response, failed = h.finish(c); failed == nil && !c.outdated {
			*c = rendering{change: c.change, response: response, ended: at.Monotonic}
			r.kept = c
		}
	}
	if failed != nil {
		response = failed.response()
	}
	return done, response
}

// DropKept drops a kept status that is too old to be sent. A megabyte need not stay in each worker.
func (h *Handler) DropKept() { h.renderings.kept = nil }

// Abandon ends all renderings: nobody waits for them any more.
func (h *Handler) Abandon() { h.renderings.current, h.renderings.after = nil, 0 }

// renderSome renders the next clusters, at most so many.
func (h *Handler) renderSome(r *rendering, most int, at Instant) *httpError {
	fill := fill{store: h.store}
	at.Wall = r.began.Wall + (at.Monotonic - r.began.Monotonic) // so that a moment is the same in all clusters
	for n := 0; n < most && r.scan.More(); n++ {
		kept := h.cluster(r.scan.Next())
		if kept == nil {
			continue
		}
		status, err := h.status(kept, &fill, at)
		if err != nil {
			return h.internalError(err)
		}
		w := jsontext.Writer{}
		status.Write(&w)
		r.clusters = append(r.clusters, renderedCluster{kept.entry.Cluster, w.Text})
	}
	return nil
}

// finish puts the clusters into the rest of the status.
func (h *Handler) finish(r *rendering) (Response, *httpError) {
	h.forget(r.scan)
	s := adminapi.Status{
		Time:     adminapi.Time(r.began.Wall / int64(time.Millisecond)),
		Version:  version.Module,
		Clusters: map[string]adminapi.Cluster{},
		LeftOut:  r.scan.LeftOut,
	}
	var err error
	if s.Redis, err = h.redisStatus(r.scan.Redis, r.began); err != nil {
		return Response{}, h.internalError(err)
	}
	if s.Misrouted, err = h.misrouted(r.began); err != nil {
		return Response{}, h.internalError(err)
	}
	if s.Missing, err = h.missing(r.began); err != nil {
		return Response{}, h.internalError(err)
	}
	if s.Policies, err = h.policies(r.began); err != nil {
		return Response{}, h.internalError(err)
	}
	if s.Refused, err = h.refused(r.began); err != nil {
		return Response{}, h.internalError(err)
	}
	if s.Envoy, err = h.proxy(r.began); err != nil {
		return Response{}, h.internalError(err)
	}
	if s.Transitions, err = h.transitions("", r.began); err != nil {
		return Response{}, h.internalError(err)
	}
	response := jsonResponse(200, s.Write)
	response.Body = putClusters(response.Body, r.clusters)
	return response, nil
}

// putClusters fills the empty object of the clusters in a status, in the order of their names. What follows the first
// `"clusters":{` cannot be a part of a string: a quote in one has a \ before it.
func putClusters(status []byte, clusters []renderedCluster) []byte {
	heapsort.Sort(len(clusters), func(i, j int) bool { return clusters[i].name < clusters[j].name },
		func(i, j int) { clusters[i], clusters[j] = clusters[j], clusters[i] })
	before, after, _ := bytes.Cut(status, []byte(`"clusters":{}`))
	size := len(status)
	for i := range clusters {
		size += len(clusters[i].name) + len(clusters[i].json) + len(`"":,`)
	}
	all := append(make([]byte, 0, size), before...)
	all = append(all, `"clusters":{`...)
	for i := range clusters {
		w := jsontext.Writer{Text: all} // after a { or a comma
		w.Name(clusters[i].name)
		all = append(w.Text, clusters[i].json...)
	}
	return append(append(all, '}'), after...)
}
