package request

import (
	"math/bits"

	"github.com/weir-mesh/weir/filter/internal/mesh"
	"github.com/weir-mesh/weir/filter/internal/worker"
	"github.com/weir-mesh/weir/policy"
	"github.com/weir-mesh/weir/sharedstate"
)

// A policy by name is what the metadata of a route or of a cluster choose for some of a cluster's requests. What it has of its
// own, and what it shares with the cluster's policy and with the cluster's other policies:
//
//	own                          limit, bulkhead                 each route's local_ratelimit has a bucket of its own, too
//	the upstream cluster's       breaker, retry budget           Envoy's outlier detection and retry budget are a cluster's
//	                             kept responses                  a POST by one policy outdates what another one keeps
//
// Two policies with different thresholds or windows of one breaker are what two listeners with different policies are.
//
//	record aws_pricing           breaker │ budget │ limit and bulkhead of the cluster's own policy
//	record aws_pricing@partner                    limit and bulkhead of policy partner
//
// In shadow a policy has a breaker and a budget of its own, too, see policy.Document.OwnBreaker.

// Named says which policy by name a cluster's requests get. The zero Named is the cluster's own policy.
type Named struct {
	Policy     string
	OwnBreaker bool
}

// NewNamed makes a cluster ready for requests that get a policy by name.
func NewNamed(upstream string, n Named, p *policy.Policy, w *worker.Worker, client *mesh.Client, resumer Resumer, o Observer) *Cluster {
	return newCluster(upstream, n, p, w, client, resumer, o)
}

// upstreamRecord is the part of upstream's record that a policy by name has no own of.
type upstreamRecord struct {
	cell   *sharedstate.Cell
	record sharedstate.Record
	shown  sharedstate.Record // joined with the policy's own: for operators
}

func newUpstreamRecord(store sharedstate.Store, upstream string) *upstreamRecord {
	r := &upstreamRecord{}
	r.cell = sharedstate.NewKeptCell(store, sharedstate.ClusterKey(upstream), &r.record)
	return r
}

// breakerRecord is the record with the breaker and the retry budget, and its cell.
func (c *Cluster) breakerRecord() (*sharedstate.Cell, *sharedstate.Record) {
	if c.ofUpstream == nil {
		return c.cell, &c.record
	}
	return c.ofUpstream.cell, &c.ofUpstream.record
}

// LoadRecord loads the cluster's record, and returns a number that differs where it has changed.
func (c *Cluster) LoadRecord() (version uint32, err error) {
	version, err = c.cell.Load()
	if c.ofUpstream == nil || err != nil {
		return version, err
	}
	of, err := c.ofUpstream.cell.Load()
	return version ^ bits.RotateLeft32(of, 16), err
}

// Record is the cluster's record as it was last loaded. It is not to be changed.
func (c *Cluster) Record() *sharedstate.Record {
	if c.ofUpstream == nil {
		return &c.record
	}
	shown := &c.ofUpstream.shown
	*shown = c.record
	shown.Breaker, shown.Budget = c.ofUpstream.record.Breaker, c.ofUpstream.record.Budget
	return shown
}
