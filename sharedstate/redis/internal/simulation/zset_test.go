package simulation

import (
	"cmp"
	"slices"
)

// zset is a sorted set: scores by member, and the members in order of their scores, then names.
type zset struct {
	scores map[string]float64
	order  []scored
}

type scored struct {
	score  float64
	member string
}

func compare(a, b scored) int {
	if c := cmp.Compare(a.score, b.score); c != 0 {
		return c
	}
	return cmp.Compare(a.member, b.member)
}

// add gives a member a score, and says whether it is new.
func (z *zset) add(member string, score float64) bool {
	old, known := z.scores[member]
	if known && old == score {
		return false
	}
	if known {
		z.cut(scored{old, member})
	}
	z.scores[member] = score
	e := scored{score, member}
	at, _ := slices.BinarySearchFunc(z.order, e, compare)
	z.order = slices.Insert(z.order, at, e)
	return !known
}

func (z *zset) remove(member string) bool {
	score, known := z.scores[member]
	if known {
		delete(z.scores, member)
		z.cut(scored{score, member})
	}
	return known
}

func (z *zset) cut(e scored) {
	at, found := slices.BinarySearchFunc(z.order, e, compare)
	if found {
		z.order = slices.Delete(z.order, at, at+1)
	}
}

// between is the members with scores from low to high, both included. It is good until the set is changed.
func (z *zset) between(low, high float64) []scored {
	from, _ := slices.BinarySearchFunc(z.order, low, func(e scored, s float64) int {
		if e.score < s {
			return -1
		}
		return 1
	})
	to := from
	for to < len(z.order) && z.order[to].score <= high {
		to++
	}
	return z.order[from:to]
}
