package ratelimit

import (
	"github.com/weir-mesh/weir/policy/fixedpoint"
	"github.com/weir-mesh/weir/policy/packed"
)

// Several plugins may hold different numbers for what they count together: two listeners with one vm_id, or the old and
// the new side of a reload. Then the count has a state for each configuration, one after the other:
//
//	shared = │ 5 in 60 s │ 50 in 60 s │ …         at most MaxViews
//
// A request that one of them admits is noted in all, so each is what it would be if its own limiter had seen all
// requests, and admits as long as the shared count is below its own number. A single state is packed as it is.
//
// In several states byte 3 is when a plugin of that configuration last admitted a request, in minutes mod 255, plus 1.
// A state that none has used for a quarter of an hour and for its window is dropped: its plugins are gone.
//
// A configuration that has no state yet adopts the one that leaves it the least.

// MaxViews is the largest number of states that one count has: those of the old and the new side of two listeners.
const MaxViews = 4

// Views is a limit that may share its count with others. One goroutine uses it at a time.
type Views struct {
	own    *Limiter
	others [MaxViews]parsed // as they were last parsed: the path of a request allocates nothing
	views  [MaxViews]view   // of the opened bytes, in their order
	n      int              // how many of views, the own one included
	state  []byte           // the own one
	joined bool             // it was added to others just now
	room   []byte           // for bytes that have another length than what was opened
	trial  []byte           // for a state that may be adopted
}

// view is one state in the opened bytes.
type view struct {
	limiter *Limiter
	state   []byte
}

// parsed is the limiter of another configuration, and the bytes that it was made from.
type parsed struct {
	header  [3]int64
	limiter *Limiter
}

// NewViews is a limiter that may share its count.
func NewViews(own *Limiter) *Views { return &Views{own: own} }

// Open prepares the states of a count for Take and Outcome, and returns them with the own one among them. What it
// returns is shared itself, changed in place, or bytes that are valid until the next Open. Bytes that can't be read are
// no states.
func (v *Views) Open(shared []byte, now int64) []byte {
	if v.own.Usable(shared) {
		v.n, v.state, v.joined = 1, shared, false
		return shared
	}
	now = clampTime(now)
	mine, size, changed := -1, 0, false
	v.n = 0
	for len(shared) > 0 {
		l := v.limiterOf(shared)
		if l == nil || len(shared) < l.size || !l.Usable(shared[:l.size]) {
			changed = true
			break
		}
		state := shared[:l.size]
		shared = shared[l.size:]
		switch {
		case l == v.own && mine < 0:
			mine = v.n
		case l == v.own || stale(l, state, now) || v.n == MaxViews:
			changed = true
			continue
		}
		v.views[v.n] = view{l, state}
		v.n++
		size += l.size
	}
	if v.joined = mine < 0; v.joined {
		return v.join(now)
	}
	v.state = v.views[mine].state
	if !changed {
		first := v.views[0].state
		return first[:size:size]
	}
	return v.assemble()
}

// join adds a state for the own configuration, in the place of the one that was not used for the longest time if there
// are too many.
func (v *Views) join(now int64) []byte {
	if v.trial == nil {
		v.trial = make([]byte, 2*v.own.size)
	}
	best, trial := v.trial[:v.own.size], v.trial[v.own.size:]
	v.own.Reset(best)
	most := int64(0)
	for i := range v.n {
		v.own.Adopt(trial, v.views[i].state, now)
		limit, used := v.own.Current(trial, now)
		if most < used || i == 0 || v.own.adaptive != nil && used == most && limit < v.limit(best, now) {
			copy(best, trial)
			most = used
		}
	}
	if v.n == MaxViews {
		oldest := 0
		for i := range v.n {
			if age(v.views[i].state, now) > age(v.views[oldest].state, now) {
				oldest = i
			}
		}
		copy(v.views[oldest:], v.views[oldest+1:])
		v.n--
	}
	for i := range v.n {
		if o := &v.views[i]; o.state[atUsedMinute] == 0 {
			o.limiter.stamp(o.state, now)
		}
	}
	v.views[v.n] = view{v.own, best}
	v.state = best
	v.n++
	return v.assemble()
}

func (v *Views) limit(state []byte, now int64) int64 {
	limit, _ := v.own.Current(state, now)
	return limit
}

// assemble puts the views one after the other.
func (v *Views) assemble() []byte {
	b := v.room[:0]
	for i := range v.n {
		b = append(b, v.views[i].state...)
	}
	v.room = b
	at := 0
	for i := range v.n {
		o := &v.views[i]
		mine := &o.state[0] == &v.state[0]
		o.state = b[at : at+o.limiter.size]
		at += o.limiter.size
		if mine {
			v.state = o.state
		}
	}
	if v.n == 1 && v.state[atUsedMinute] != 0 { // alone, it is packed as if there had never been another
		v.state[atUsedMinute] = 0
		v.own.seal(v.state)
	}
	return b
}

// State is the own state among the opened ones.
func (v *Views) State() []byte { return v.state }

// Take asks the own limit for n requests, and notes them in all states if it admits them. See Limiter.Take. A state
// that was added to others is to be stored, or each refusal would adopt it again.
func (v *Views) Take(now, n int64) Verdict {
	verdict := v.own.Take(v.state, now, n)
	if v.n == 1 {
		return verdict
	}
	verdict.Store = verdict.Store || v.joined
	if !verdict.Admitted {
		return verdict
	}
	now, n = clampTime(now), min(max(n, 1), maxCost)
	for i := range v.n {
		o := &v.views[i]
		if o.limiter == v.own {
			o.limiter.stamp(o.state, now)
		} else {
			o.limiter.note(o.state, now, n)
		}
	}
	return verdict
}

// Alone reports whether there is no other state. A lease is valid only then: others noted it as used when it was taken.
func (v *Views) Alone() bool { return v.n == 1 }

// Remaining is how many whole requests the own limit has left at time now.
func (v *Views) Remaining(now int64) int64 {
	limit, used := v.own.Current(v.state, now)
	return max(limit-used, 0)
}

// TakeLease asks for one request and for n - 1 more to be used later. See Limiter.TakeLease. Nothing is leased from
// several states.
func (v *Views) TakeLease(now, n int64) (Verdict, Lease) {
	if v.n > 1 {
		return v.Take(now, 1), Lease{}
	}
	return v.own.TakeLease(v.state, now, n)
}

// Return gives back what is left of a lease, see Limiter.Return. Nothing is given back to several states.
func (v *Views) Return(lease Lease, now int64) (changed bool) {
	return v.n == 1 && v.own.Return(v.state, lease, now)
}

// Outcome records how an admitted request ended, for all adaptive limits. See Limiter.Outcome.
func (v *Views) Outcome(success bool, now int64) (changed bool) {
	if !v.own.Outcome(v.state, success, now) {
		return false
	}
	if v.n == 1 {
		return true
	}
	for i := range v.n {
		if o := &v.views[i]; o.limiter != v.own && o.limiter.adaptive != nil {
			o.limiter.adaptive.learn(o.state, success, clampTime(now))
			o.limiter.seal(o.state)
		}
	}
	return true
}

// Has reports whether there is a state of the own configuration.
func (v *Views) Has(shared []byte) bool {
	for len(shared) > 0 {
		l := v.limiterOf(shared)
		switch {
		case l == nil, len(shared) < l.size, !l.Usable(shared[:l.size]):
			return false
		case l == v.own:
			return true
		}
		shared = shared[l.size:]
	}
	return false
}

// Idle reports whether all states are idle, see Limiter.Idle. So is what can't be read.
func (v *Views) Idle(shared []byte, now int64) bool {
	if v.own.Usable(shared) {
		return v.own.Idle(shared, now)
	}
	for len(shared) > 0 {
		l := v.limiterOf(shared)
		if l == nil || len(shared) < l.size || !l.Usable(shared[:l.size]) {
			return true
		}
		if !stale(l, shared[:l.size], clampTime(now)) && !l.Idle(shared[:l.size], now) {
			return false
		}
		shared = shared[l.size:]
	}
	return true
}

// limiterOf is the limiter of the first state, nil if there is none. Another configuration's is made once.
func (v *Views) limiterOf(shared []byte) *Limiter {
	if len(shared) < bucketSize {
		return nil
	}
	header := [3]int64{int64(shared[atKind]) | int64(shared[atAdaptive])<<8, packed.I64(shared, atLimit), packed.I64(shared, atWindow)}
	if header == v.own.header() {
		return v.own
	}
	for i := range v.others {
		if o := &v.others[i]; o.limiter != nil && o.header == header {
			return o.limiter
		}
	}
	l, ok := limiterOf(shared)
	if !ok {
		return nil
	}
	copy(v.others[1:], v.others[:])
	v.others[0] = parsed{header, &l}
	return &l
}

// header is what limiterOf compares.
func (l *Limiter) header() [3]int64 {
	kind := int64(l.kind)
	if l.adaptive != nil {
		kind |= 1 << 8
	}
	return [3]int64{kind, l.limit, l.window}
}

// note counts n requests that another limit has admitted.
func (l *Limiter) note(state []byte, now, n int64) {
	if l.kind == kindBucket {
		b, _ := l.bucket.refill(loadBucket(state), now)
		b.Level = max(b.Level-n*fixedpoint.Nano, 0)
		l.storeBucket(state, b)
		return
	}
	if l.foreign(state, now) {
		l.repair(state, now)
	}
	l.load(state, use{at: now, n: n})
	l.seal(state)
}

const (
	minute    = int64(60e9)
	minutes   = 255 // that can be told apart
	staleTime = 15  // minutes
)

// stamp notes that a plugin of the state's configuration has admitted a request.
func (l *Limiter) stamp(state []byte, now int64) {
	if m := byte(now/minute%minutes + 1); state[atUsedMinute] != m {
		state[atUsedMinute] = m
		l.seal(state)
	}
}

// age is the minutes since the last stamp.
func age(state []byte, now int64) int64 {
	if state[atUsedMinute] == 0 {
		return 0
	}
	return (now/minute%minutes + 1 - int64(state[atUsedMinute]) + minutes) % minutes
}

// stale reports whether no plugin of the state's configuration is there any more. A clock that is a little behind
// another worker's makes the age a large one, hence the upper bound. A window of hours can't be told from its age.
func stale(l *Limiter, state []byte, now int64) bool {
	_, window := l.Quota()
	unused := age(state, now)
	return unused > max(staleTime, int64(window)/minute+1) && unused < minutes-staleTime
}
