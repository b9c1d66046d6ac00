package flow

import (
	"github.com/weir-mesh/weir/policy"
	"github.com/weir-mesh/weir/policy/ratelimit"
	"github.com/weir-mesh/weir/sharedstate"
)

// A set of keys has up to 32 ways, fewer where a state is large, so that a set stays below some 8 KB: what is copied for
// each request of a keyed limit. A key overflows when its set is full. With 32 ways that befalls 1 set in 10,000 while
// half of max_keys are in use, and 1 in 10 at four fifths (Poisson).
const (
	maxWays     = 32
	maxSetBytes = 8 << 10
)

// keyed is a limit counted by key: a table of max_keys places in sets, and one further place that all keys share which
// find none.
type keyed struct {
	cluster string
	limiter *ratelimit.Limiter
	sets    uint32

	set          *sharedstate.KeySet
	cell         *sharedstate.Cell
	overflow     *sharedstate.KeySet
	overflowCell *sharedstate.Cell

	names []string // of the sets' records, as they were needed
}

func newKeyed(cluster string, l *policy.RateLimit, limiter *ratelimit.Limiter, w *Worker) *keyed {
	size := limiter.Size()
	ways := max(min(maxWays, l.MaxKeys, maxSetBytes/size), 1)
	k := &keyed{
		cluster: cluster, limiter: limiter,
		sets:     uint32((l.MaxKeys + ways - 1) / ways),
		set:      sharedstate.NewKeySet(ways, size),
		overflow: sharedstate.NewKeySet(1, size),
	}
	k.names = make([]string, k.sets)
	k.cell = sharedstate.NewCell(w.store, "", k.set)
	k.overflowCell = sharedstate.NewCell(w.store, sharedstate.LimitKey(cluster, sharedstate.OverflowSet), k.overflow)
	return k
}

// place is where a request's limit is kept.
type place struct {
	key  sharedstate.Fingerprint
	set  uint32
	over bool // in the place that overflowing keys share
}

// Keyed says whether Fingerprint is wanted for this plan's requests.
func (p *Plan) Keyed() bool { return len(p.key) > 0 }

// ByClientIP says whether a part of the key is client_ip, which costs a host call.
func (p *Plan) ByClientIP() bool {
	for _, part := range p.key {
		if part.Kind == policy.KeyClientIP {
			return true
		}
	}
	return false
}

// Fingerprint is the identity that a request's limit is counted by.
func (p *Plan) Fingerprint(headers Headers, clientIP string) (f sharedstate.Fingerprint) {
	f, p.keyBuf = fingerprint(p.keyBuf, p.key, headers, clientIP, p.keySeed[0], p.keySeed[1])
	return f
}

// take asks the limit of a key for one request.
func (k *keyed) take(key sharedstate.Fingerprint, now int64) (at place, v ratelimit.Verdict, conflicts int, err error) {
	at = place{key: key, set: uint32(key.Lo % uint64(k.sets))}
	k.move(at.set)
	conflicts, err = k.cell.Update(func() bool {
		at.over, v = false, ratelimit.Verdict{}
		way, had := k.set.Find(key, func(state []byte) bool { return !k.limiter.Usable(state) || k.limiter.Idle(state, now) })
		if way == nil {
			at.over = true
			return false
		}
		if !had || !k.limiter.Usable(way.State) {
			way.Key = key
			k.limiter.Reset(way.State)
		}
		v = k.limiter.Take(way.State, now, 1)
		return v.Store
	})
	if err != nil || !at.over {
		return at, v, conflicts, err
	}
	more, err := k.overflowCell.Update(func() bool {
		state := k.overflow.Ways[0].State
		if !k.limiter.Usable(state) {
			k.limiter.Reset(state)
		}
		v = k.limiter.Take(state, now, 1)
		return v.Store
	})
	return at, v, conflicts + more, err
}

// move makes a set the one that is worked on.
func (k *keyed) move(set uint32) {
	if k.names[set] == "" {
		k.names[set] = sharedstate.LimitKey(k.cluster, set)
	}
	k.cell.Move(k.names[set])
}

// outcome tells the limit of a key what became of a request that it admitted.
func (k *keyed) outcome(at place, success bool, now int64) (conflicts int, err error) {
	if at.over {
		return k.overflowCell.Update(func() bool {
			state := k.overflow.Ways[0].State
			return k.limiter.Usable(state) && k.limiter.Outcome(state, success, now)
		})
	}
	k.move(at.set)
	return k.cell.Update(func() bool {
		way, had := k.set.Find(at.key, func([]byte) bool { return false })
		return had && k.limiter.Usable(way.State) && k.limiter.Outcome(way.State, success, now)
	})
}
