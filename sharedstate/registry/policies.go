package registry

import "github.com/weir-mesh/weir/sharedstate"

// Policy is one policy document in force.
type Policy struct {
	Document uint64
	Since    int64 // when it came into force, nanoseconds of a monotonic clock, to 17 ms

	Unmatched []string // patterns that no request's cluster has matched since
}

// ReadPolicies lists the policy documents in force at time now, the one that came last first. One that was replaced is among them
// for some seconds, until its last heartbeat is old.
func ReadPolicies(store sharedstate.Store, now int64) (inForce []Policy, err error) {
	var documents documentTable
	if _, err := sharedstate.NewCell(store, documentsKey, &documents).Load(); err != nil {
		return nil, err
	}
	for slot := documents.newest(now); slot >= 0; slot = documents.newest(now) {
		row := &documents.rows[slot]
		patterns, err := readUnmatched(store, slot, row.claim)
		if err != nil {
			return nil, err
		}
		inForce = append(inForce, Policy{Document: row.document, Since: row.since(), Unmatched: patterns})
		*row = documentRow{}
	}
	return inForce, nil
}
