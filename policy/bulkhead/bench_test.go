package bulkhead

import (
	"fmt"
	"testing"
	"time"
)

// withOwners is a bulkhead with so many owners, each with one running request.
func withOwners(owners int) (s State, c Config) {
	for id := range uint32(owners) {
		s.Heartbeat(id, 1, second)
	}
	return s, Config{Max: 1000, Expiry: 5 * time.Second}
}

func TestNothingIsAllocated(t *testing.T) {
	for _, owners := range []int{1, 16, MaxOwners} {
		s, c := withOwners(owners)
		packed := s.AppendTo(nil)
		if n := testing.AllocsPerRun(100, func() {
			s.Acquire(c, 0, second)
			s.Release(0, second)
			s.Heartbeat(0, 0, second)
			s.Heartbeat(0, 1, second)
			packed = s.AppendTo(packed[:0])
			s.Unpack(packed)
		}); n != 0 {
			t.Errorf("%d owners: got %g allocations, want 0", owners, n)
		}
	}
}

func BenchmarkAcquireAndRelease(b *testing.B) {
	for _, owners := range []int{1, 2, 16, MaxOwners} {
		b.Run(fmt.Sprint(owners), func(b *testing.B) {
			s, c := withOwners(owners)
			b.ReportAllocs()
			for b.Loop() {
				s.Acquire(c, 0, second)
				s.Release(0, second)
			}
		})
	}
}

func BenchmarkPacked(b *testing.B) {
	for _, owners := range []int{1, 2, 16, MaxOwners} {
		b.Run(fmt.Sprint(owners), func(b *testing.B) {
			s, _ := withOwners(owners)
			packed := s.AppendTo(nil)
			b.ReportAllocs()
			for b.Loop() {
				packed = s.AppendTo(packed[:0])
				s.Unpack(packed)
			}
		})
	}
}
