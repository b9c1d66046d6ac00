package lease

import (
	"github.com/weir-mesh/weir/sharedstate"
	"github.com/weir-mesh/weir/sharedstate/redis"
)

// Set is one worker's part of a limit that is counted by key: a holder for each key that has a token, a waiting
// request, or something to report. Its size is bounded. Keys beyond share one holder, of the record for overflowing
// keys.
type Set struct {
	w       *Worker
	limit   *redis.Limit
	config  Config
	prefix  string
	cluster string
	maxKeys int
	breaker breaker // of all its holders

	members map[sharedstate.Fingerprint]*Member
	order   []*Member // of Tick
	next    int       // in order
	free    []*Member
	shared  Member // of the keys beyond the bound
}

// Member is a key's holder and the place of its limit.
type Member struct {
	Holder
	Key   sharedstate.Fingerprint
	Place *redis.Place
	at    int // in order
}

// maxMembers is how many keys of one limit a worker holds leases for at a time, whatever max_keys says: 12 MB of
// holders. A key's holder is dropped when its lease is over and reported, within a second or so.
const maxMembers = 8192

// NewSet is a set for a cluster's limit with max_keys, of which a worker holds at most maxMembers.
func NewSet(w *Worker, limit *redis.Limit, config Config, prefix, cluster string, maxKeys int) *Set {
	config.keyed = true
	s := &Set{
		w: w, limit: limit, config: config, prefix: prefix, cluster: cluster, maxKeys: max(maxKeys, 1),
		members: map[sharedstate.Fingerprint]*Member{},
	}
	s.shared.init(w, limit, config, &s.breaker)
	s.shared.Place = redis.NewOverflowPlace(prefix, cluster)
	return s
}

// Get is a key's holder, valid until the next Tick. Where the set is full, it is the shared one.
func (s *Set) Get(key sharedstate.Fingerprint) *Member {
	if m := s.members[key]; m != nil {
		return m
	}
	if len(s.members) >= min(s.maxKeys, maxMembers) {
		return &s.shared
	}
	m := s.recycled()
	m.init(s.w, s.limit, s.config, &s.breaker)
	m.Key = key
	m.Place = redis.NewKeyedPlace(s.prefix, s.cluster, digits(key), s.maxKeys)
	m.at = len(s.order)
	s.order = append(s.order, m)
	s.members[key] = m
	return m
}

// Find is a key's holder, or the shared one. It makes none: it is for outcomes.
func (s *Set) Find(key sharedstate.Fingerprint) *Member {
	if m := s.members[key]; m != nil {
		return m
	}
	return &s.shared
}

// Len is the number of keys with a holder of their own.
func (s *Set) Len() int { return len(s.members) }

// Tick ticks the shared holder and the next n others, in turn, and drops those that are idle. It calls each with the
// decisions of every holder.
func (s *Set) Tick(now int64, n int, each func(m *Member, d Decisions)) {
	each(&s.shared, s.shared.Tick(now))
	for range min(n, len(s.order)) {
		if s.next >= len(s.order) {
			s.next = 0
		}
		m := s.order[s.next]
		each(m, m.Tick(now))
		if m.Idle(now) {
			s.drop(m) // another one takes its place in order
		} else {
			s.next++
		}
	}
}

func (s *Set) drop(m *Member) {
	last := s.order[len(s.order)-1]
	s.order[m.at], last.at = last, m.at
	s.order[len(s.order)-1] = nil
	s.order = s.order[:len(s.order)-1]
	delete(s.members, m.Key)
	if len(s.free) < 64 {
		s.free = append(s.free, m)
	}
}

func (s *Set) recycled() *Member {
	if n := len(s.free); n > 0 {
		m := s.free[n-1]
		s.free = s.free[:n-1]
		return m
	}
	return &Member{}
}

// digits is a fingerprint as text, 32 hexadecimal digits.
func digits(key sharedstate.Fingerprint) string {
	const hex = "0123456789abcdef"
	var b [32]byte
	for i := range 16 {
		b[i] = hex[key.Hi>>(60-4*i)&15]
		b[16+i] = hex[key.Lo>>(60-4*i)&15]
	}
	return string(b[:])
}
