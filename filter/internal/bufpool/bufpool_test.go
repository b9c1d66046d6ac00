package bufpool

import "testing"

func TestPool(t *testing.T) {
	p := Pool{Most: 4096, Spare: 1024, Smallest: 512}
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
	if p.Lent() != 0 || p.kept > p.Spare {
		t.Fatalf("got %d lent and %d kept, want 0 and at most %d", p.Lent(), p.kept, p.Spare)
	}
	if again := p.Get(1024); len(again) != 0 || p.kept != 0 {
		t.Fatalf("got %d bytes in the buffer and %d kept, want an empty spare one and 0", len(again), p.kept)
	}
}
