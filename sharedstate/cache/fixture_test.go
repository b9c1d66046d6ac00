package cache

import (
	"bytes"
	"errors"
	"fmt"

	"pgregory.net/rapid"

	"github.com/weir-mesh/weir/sharedstate"
)

const second = RefreshEvery

func keyOf(n int) sharedstate.Fingerprint {
	return sharedstate.Fingerprint{Hi: uint64(n), Lo: uint64(n) * 0x9E3779B97F4A7C15}
}

func noHeaders(func(name, value string) bool) {}

func pairs(headers ...[2]string) func(yield func(name, value string) bool) {
	return func(yield func(name, value string) bool) {
		for _, h := range headers {
			if !yield(h[0], h[1]) {
				return
			}
		}
	}
}

// bodyOf is so many bytes that no other answer has.
func bodyOf(key sharedstate.Fingerprint, stored int64, size int) []byte {
	mark := fmt.Appendf(nil, "%d@%d ", key.Hi, stored)
	return bytes.Repeat(mark, size/len(mark)+1)[:size]
}

// pathOf is the hash of a key's path. No key has it as its upper half.
func pathOf(n int) uint64 { return 1<<40 + uint64(n%4) }

// answer is an entry of a key, stored at that time, with a body of so many bytes. Its path is the key's number modulo
// 4.
func answer(n int, stored int64, size int) []byte {
	key := keyOf(n)
	m := Meta{Key: key, Path: pathOf(n), Stored: stored, Status: 200, Lifetime: None, StaleIfError: None}
	b, ok := AppendHead(nil, &m, noHeaders)
	if !ok {
		panic("no head")
	}
	return append(b, bodyOf(key, stored, size)...)
}

// put stores an answer whose request began, and which was complete, at the same time.
func put(t rapid.TB, c *Cache, n int, at int64, size int) (stored bool) {
	t.Helper()
	stored, _, err := c.Put(answer(n, at, size), at, at)
	if err != nil {
		t.Fatalf("put %d at %d: %v", n, at, err)
	}
	return stored
}

// holds looks a key up; when is the time at which the entry was stored, -1 where there is none. The entry must be just
// that answer.
func holds(t rapid.TB, c *Cache, n int) (when int64) {
	t.Helper()
	e, found, err := c.Get(keyOf(n))
	if err != nil {
		t.Errorf("get %d: %v", n, err)
	}
	if !found {
		return -1
	}
	if e.Key != keyOf(n) || e.Status != 200 || !bytes.Equal(e.Body, bodyOf(e.Key, e.Stored, len(e.Body))) {
		t.Errorf("get %d: got %+v, want an entry of that key", n, e)
	}
	return e.Stored
}

// audit checks the bounds of a store that no worker uses. With strict, nothing may be lost or left over.
func audit(t rapid.TB, store sharedstate.Store, budget uint64, segments, slots int, strict bool, clusters ...string) {
	t.Helper()
	var book ledger
	if _, err := sharedstate.NewCell(store, LedgerKey, &book).Load(); err != nil {
		t.Fatal(err)
	}
	if book.total > budget {
		t.Errorf("the ledger: got a total of %d bytes, want at most %d", book.total, budget)
	}
	for _, cluster := range clusters {
		for s := range segments {
			var x index
			if _, err := sharedstate.NewCell(store, IndexKey(cluster, s), &x).Load(); err != nil {
				t.Fatal(err)
			}
			if row := book.room([]byte(cluster), uint16(s)); x.bytes() > uint64(x.room) || x.room > row {
				t.Errorf("%s, segment %d: got %d bytes, room %d, row %d, want no more than the next", cluster, s, x.bytes(), x.room, row)
			}
			ways := map[int]way{}
			for _, w := range x.ways {
				ways[int(w.slot)] = w
			}
			for slot := range slots {
				value, _, err := store.Get(SlotKey(cluster, s, slot))
				if err != nil && !errors.Is(err, sharedstate.ErrNotFound) {
					t.Fatal(err)
				}
				w, listed := ways[slot]
				e, whole := Decode(value)
				switch {
				case !strict:
				case !listed && len(value) != 0:
					t.Errorf("%s, slot %d/%d: got %d bytes that no index lists, want 0", cluster, s, slot, len(value))
				case listed && (!whole || !w.matches(&e, len(value))):
					t.Errorf("%s, slot %d/%d: got %d bytes of %+v, want %+v", cluster, s, slot, len(value), e.Meta, w)
				}
			}
		}
	}
}
