package bufpool

import (
	"testing"

	"pgregory.net/rapid"
)

func TestPool(t *testing.T) {
	p := Pool{MaxLent: 4096, MaxSpare: 1024, Smallest: 512}
	a := p.Get(1)
	b := p.Get(600)
	if cap(a) != 512 || cap(b) != 1024 || p.Lent() != 1536 {
		t.Fatalf("got buffers of %d and %d bytes and %d lent, want 512, 1024 and 1536", cap(a), cap(b), p.Lent())
	}
	if c := p.Get(2561); c != nil {
		t.Fatalf("got a buffer of %d bytes beyond the bound, want nil", cap(c))
	}
	b = append(b, "abc"...)
	b = p.Grow(b, 1500)
	if string(b) != "abc" || cap(b) != 2048 || p.Lent() != 2560 {
		t.Fatalf("got %q with room for %d and %d lent, want abc, 2048 and 2560", b, cap(b), p.Lent())
	}
	if larger := p.Grow(b, 5000); larger != nil || p.Lent() != 2560 {
		t.Fatalf("got %v and %d lent, want nil and 2560: the buffer stays lent", larger, p.Lent())
	}
	p.Put(a)
	p.Put(b)
	if p.Lent() != 0 || p.kept > p.MaxSpare {
		t.Fatalf("got %d lent and %d kept, want 0 and at most %d", p.Lent(), p.kept, p.MaxSpare)
	}
	if again := p.Get(1024); len(again) != 0 || p.kept != 0 {
		t.Fatalf("got %d bytes in the buffer and %d kept, want an empty spare one and 0", len(again), p.kept)
	}
}

// TestBounds checks that whatever is lent, grown and put back, the bytes lent and kept stay within their bounds.
func TestBounds(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := Pool{MaxLent: 64 << 10, MaxSpare: 16 << 10, Smallest: 512}
		var lent [][]byte
		t.Repeat(map[string]func(*rapid.T){
			"get": func(t *rapid.T) {
				if b := p.Get(rapid.IntRange(1, 40<<10).Draw(t, "bytes")); b != nil {
					lent = append(lent, b)
				}
			},
			"grow": func(t *rapid.T) {
				if len(lent) == 0 {
					t.Skip()
				}
				i := rapid.IntRange(0, len(lent)-1).Draw(t, "which")
				if larger := p.Grow(lent[i], rapid.IntRange(1, 40<<10).Draw(t, "bytes")); larger != nil {
					lent[i] = larger
				}
			},
			"put": func(t *rapid.T) {
				if len(lent) == 0 {
					t.Skip()
				}
				last := len(lent) - 1
				p.Put(lent[last])
				lent = lent[:last]
			},
			"": func(t *rapid.T) {
				held, kept := 0, 0
				for _, b := range lent {
					held += cap(b)
				}
				for _, b := range p.spare {
					kept += cap(b)
				}
				if held != p.Lent() || held > p.MaxLent || kept != p.kept || kept > p.MaxSpare {
					t.Fatalf("got %d lent, %d kept; want %d of at most %d, and %d of at most %d", p.Lent(), p.kept, held,
						p.MaxLent, kept, p.MaxSpare)
				}
			},
		})
	})
}
