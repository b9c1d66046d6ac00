package bulkhead

import (
	"fmt"
	"testing"
	"time"
)

// of is a bulkhead in which so many owners hold one request each.
func of(owners int) (s State, c Config) {
	for id := range uint32(owners) {
		s.Beat(id, 1, second)
	}
	return s, Config{Max: 1000, Expiry: 5 * time.Second}
}

func TestNothingIsAllocated(t *testing.T) {
	for _, owners := range []int{1, 16, MaxOwners} {
		s, c := of(owners)
		packed := s.AppendTo(nil)
		if n := testing.AllocsPerRun(100, func() {
			s.Acquire(c, 0, second)
			s.Release(0, second)
			s.Beat(0, 0, second)
			s.Beat(0, 1, second)
			packed = s.AppendTo(packed[:0])
			s.Unpack(packed)
		}); n != 0 {
			t.Errorf("%d owners: %g allocations", owners, n)
		}
	}
}

func BenchmarkAcquireAndRelease(b *testing.B) {
	for _, owners := range []int{1, 2, 16, MaxOwners} {
		b.Run(fmt.Sprint(owners), func(b *testing.B) {
			s, c := of(owners)
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
			s, _ := of(owners)
			packed := s.AppendTo(nil)
			b.ReportAllocs()
			for b.Loop() {
				packed = s.AppendTo(packed[:0])
				s.Unpack(packed)
			}
		})
	}
}
