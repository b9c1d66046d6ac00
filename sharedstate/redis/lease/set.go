package lease

import (
	"github.com/weir-mesh/weir/sharedstate"
	"github.com/weir-mesh/weir/sharedstate/redis"
)

// Set is one worker's part of a limit that is counted by key: a holder for each key that has a token, a waiting request, or something to
// report. It has a bound; keys beyond it share one holder, which asks for the record that overflowing keys share.
type Set struct {
	w       *Worker
	limit   *redis.Limit
	config  Config
	prefix  string
	cluster string
	maxKeys int

	members map[sharedstate.Fingerprint]*Member
	order   []*Member // in which Tick goes round
	next    int
	free    []*Member
	over    Member
}

// Member is a key's holder and the place of its limit.
type Member struct {
	Holder
	Key   sharedstate.Fingerprint
	Place *redis.Place
	at    int // in order
}

// maxMembers is how many keys of one limit a worker holds leases for at a time, whatever max_keys says: 12 MB of
// holders. A key's holder is let go when its lease is over and that is told, within a second or so.
const maxMembers = 8192

// NewSet is a set for a cluster's limit whose max_keys are maxKeys, of which a worker holds as many, up to maxMembers.
func NewSet(w *Worker, limit *redis.Limit, config Config, prefix, cluster string, maxKeys int) *Set {
	s := &Set{
		w: w, limit: limit, config: config, prefix: prefix, cluster: cluster, maxKeys: max(maxKeys, 1),
		members: map[sharedstate.Fingerprint]*Member{},
	}
	s.over.init(w, limit, config)
	s.over.Place = redis.NewOverflowPlace(prefix, cluster)
	return s
}

// Get is a key's holder; it is good until the next Tick. Where the set is full it is the one that such keys share.
func (s *Set) Get(key sharedstate.Fingerprint) *Member {
	if m := s.members[key]; m != nil {
		return m
	}
	if len(s.members) >= min(s.maxKeys, maxMembers) {
		return &s.over
	}
	m := s.recycled()
	m.init(s.w, s.limit, s.config)
	m.Key = key
	m.Place = redis.NewKeyedPlace(s.prefix, s.cluster, digits(key), s.maxKeys)
	m.at = len(s.order)
	s.order = append(s.order, m)
	s.members[key] = m
	return m
}

// Find is a key's holder, or the shared one, without making one: for outcomes.
func (s *Set) Find(key sharedstate.Fingerprint) *Member {
	if m := s.members[key]; m != nil {
		return m
	}
	return &s.over
}

// Len is the number of keys with a holder of their own.
func (s *Set) Len() int { return len(s.members) }

// Tick ticks the shared holder and at most `most` others, going round, and lets go of those that are done. What comes of it is handed to each.
func (s *Set) Tick(now int64, most int, each func(m *Member, a Answer)) {
	each(&s.over, s.over.Tick(now))
	for range min(most, len(s.order)) {
		if s.next >= len(s.order) {
			s.next = 0
		}
		m := s.order[s.next]
		each(m, m.Tick(now))
		if m.Done(now) {
			s.drop(m) // another one comes to its place
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
