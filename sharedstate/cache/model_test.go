package cache

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/weir-mesh/weir/sharedstate"
)

// model is what one cluster's cache should hold: a map, in which the least recently stored goes.
type model struct {
	entries   int
	stored    map[int]int64 // by key
	size      map[int]int
	notBefore map[int]int64 // by segment
	marks     map[int]int64 // by path
	forgotten int64         // responses to requests that began by then are refused, whatever their path
}

func (m *model) segments() int { return (m.entries + 255) / 256 }

func (m *model) segment(n int) int { return n % m.segments() }

func (m *model) put(n int, began, stored, now int64, size int, replaced int64) bool {
	s := m.segment(n)
	if began > stored || stored > now {
		return false
	}
	if m.notBefore[s] > now+600*second {
		m.notBefore[s] = now
		return false
	}
	if replaced == nothing && m.marked(n, began, now) {
		return false
	}
	switch listed, ok := m.stored[n]; {
	case replaced == nothing && began <= m.notBefore[s]:
		return false
	case replaced != nothing && (!ok || listed != replaced):
		return false
	}
	if had, ok := m.stored[n]; ok && had <= now+600*second && stored < had+second {
		return false
	}
	capacity := m.entries / m.segments()
	if s < m.entries%m.segments() {
		capacity++
	}
	delete(m.stored, n)
	for {
		count, oldest := 0, -1
		for other := range m.stored {
			if m.segment(other) != s {
				continue
			}
			count++
			if oldest < 0 || m.stored[other] < m.stored[oldest] {
				oldest = other
			}
		}
		if count < capacity {
			break
		}
		delete(m.stored, oldest)
	}
	m.stored[n], m.size[n] = stored, size
	return true
}

// marked says that a key's path was invalidated since a request began.
func (m *model) marked(n int, began, now int64) bool {
	at, ok := m.marks[n%4]
	other := now + 600*second
	return began <= m.forgotten && m.forgotten <= other || ok && began <= at && at <= other
}

func (m *model) removePath(path int, now int64) {
	if m.forgotten > now+600*second {
		m.forgotten = 0
	}
	at := now
	for other, was := range m.marks {
		switch {
		case was > now+600*second:
			delete(m.marks, other)
		case other == path:
			at = max(at, was)
		case was < now-60*second:
			m.forgotten = max(m.forgotten, was)
			delete(m.marks, other)
		}
	}
	m.marks[path] = at
	for n := range m.stored {
		if n%4 == path {
			delete(m.stored, n)
		}
	}
}

func (m *model) invalidate(now int64) {
	clear(m.stored)
	for s := range m.segments() {
		if m.notBefore[s] < now || m.notBefore[s] > now+600*second {
			m.notBefore[s] = now
		}
	}
}

// TestModel lets two workers use three clusters' caches in turn, under a clock that now and then goes back, and holds
// them against the model after each step.
func TestModel(t *testing.T) {
	const keys = 40
	rapid.Check(t, func(t *rapid.T) {
		store := sharedstate.NewMemory()
		names := []string{"aws", "gcp", "azure"}
		var models []*model
		var workers [2][]*Cache
		for _, name := range names {
			m := &model{entries: rapid.SampledFrom([]int{1, 2, 3, 7, 270}).Draw(t, name), stored: map[int]int64{}, size: map[int]int{}, notBefore: map[int]int64{}, marks: map[int]int64{}}
			models = append(models, m)
			for w := range workers {
				workers[w] = append(workers[w], New(store, name, m.entries))
			}
		}
		clock, ticks := 5000*second, int64(0)
		var steps []string
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			// Each time is used once, so that no two entries are equally old.
			ticks++
			clock += rapid.SampledFrom([]int64{0, second / 10, second, 10 * second, -second / 2, -20 * second, 1000 * second, -1000 * second}).Draw(t, "passes") / 1000 * 1000
			clock = max(clock, 2*second)
			now := clock + ticks
			i := rapid.IntRange(0, len(names)-1).Draw(t, "cluster")
			m, c := models[i], workers[rapid.IntRange(0, 1).Draw(t, "worker")][i]
			n := rapid.IntRange(0, keys-1).Draw(t, "key")
			switch rapid.IntRange(0, 19).Draw(t, "what") {
			case 0:
				steps = append(steps, fmt.Sprintf("%s: invalidate at %d", names[i], now))
				m.invalidate(now)
				if err := c.Invalidate(now); err != nil {
					t.Fatal(err)
				}
			case 1:
				steps = append(steps, fmt.Sprintf("%s: remove path %d at %d", names[i], n%4, now))
				m.removePath(n%4, now)
				if _, err := c.RemovePath(pathOf(n), now); err != nil {
					t.Fatal(err)
				}
				for w := range workers { // else one finds out only after it has made room, which the model does not know
					if _, err := workers[w][i].marksCell.Load(); err != nil {
						t.Fatal(err)
					}
				}
			default:
				took := rapid.SampledFrom([]int64{0, 0, 0, second / 2, 3 * second, -second}).Draw(t, "took") / 1000 * 1000
				body := rapid.SampledFrom([]int64{0, 0, 0, second, 30 * second}).Draw(t, "body") / 1000 * 1000
				stored := max(now-body, 0)
				began := stored - took
				size := rapid.IntRange(0, 300).Draw(t, "size")
				replaced := int64(nothing)
				if rapid.IntRange(0, 3).Draw(t, "replace") == 0 {
					replaced = max(m.stored[n]-rapid.SampledFrom([]int64{0, 0, 0, 1}).Draw(t, "another"), 0) // 0: of one that is not listed
				}
				want := m.put(n, began, stored, now, size, replaced)
				steps = append(steps, fmt.Sprintf("%s: put %d in place of %d, began %d, stored %d, now %d: %v", names[i], n, replaced, began, stored, now, want))
				put := func(entry []byte, began, now int64) (bool, int, error) { return c.Replace(entry, replaced, began, now) }
				if replaced == nothing {
					put = c.Put
				}
				got, conflicts, err := put(answer(n, stored, size), began, now)
				if got != want || conflicts != 0 || err != nil {
					t.Fatalf("%v\ngot stored %v, %d conflicts, %v, want %v, 0, no error", steps, got, conflicts, err, want)
				}
			}
			for j := range names {
				worker := workers[rapid.IntRange(0, 1).Draw(t, "reader")][j]
				entries, bytes := 0, int64(0)
				for n := range keys {
					e, found, err := worker.Get(keyOf(n))
					stored, want := models[j].stored[n]
					if err != nil || found != want || found && (e.Key != keyOf(n) || e.Stored != stored ||
						string(e.Body) != string(bodyOf(e.Key, stored, models[j].size[n]))) {
						t.Fatalf("%v\n%s, key %d: got %v %+v, %v, want %v, stored at %d", steps, names[j], n, found, e, err, want, stored)
					}
					if found {
						entries++
						bytes += int64(headFixed + len(e.Body))
					}
				}
				if s, err := ReadStats(store, names[j]); err != nil || s.Entries != entries || s.Bytes != bytes {
					t.Fatalf("%v\n%s: got %+v, %v, want %d entries of %d bytes", steps, names[j], s, err, entries, bytes)
				}
			}
		}
	})
}
