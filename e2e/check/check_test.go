package check

import (
	"math/rand/v2"
	"testing"
	"time"
)

func TestMaxInAnyInterval(t *testing.T) {
	start := time.Now()
	for _, c := range []struct {
		name    string
		moments []time.Duration
		window  time.Duration
		want    int
	}{
		{"no moments", nil, time.Second, 0},
		{"one moment", []time.Duration{0}, time.Second, 1},
		{"exactly a window apart", []time.Duration{0, time.Second}, time.Second, 1},
		{"just under a window apart", []time.Duration{0, time.Second - 1}, time.Second, 2},
		{"across a fixed window's border", []time.Duration{900, 950, 1050, 1100}, 300, 4},
		{"the fullest interval is the last", []time.Duration{0, 10, 100, 101, 102}, 5, 3},
		{"the fullest interval is the first", []time.Duration{0, 1, 2, 100, 110}, 5, 3},
		{"at one instant", []time.Duration{7, 7, 7}, 1, 3},
		{"in no order", []time.Duration{102, 0, 101, 10, 100}, 5, 3},
		{"an empty window", []time.Duration{0, 0}, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			moments := make([]time.Time, len(c.moments))
			for i, offset := range c.moments {
				moments[i] = start.Add(offset)
			}
			if got := MaxInAnyInterval(moments, c.window); got != c.want {
				t.Errorf("got %d, want %d", got, c.want)
			}
		})
	}
}

// The fullest interval always starts at some moment, so trying each of them is the definition.
func TestMaxInAnyIntervalAgreesWithItsDefinition(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	start := time.Now()
	for range 200 {
		window := time.Duration(1 + random.IntN(50))
		moments := make([]time.Time, random.IntN(60))
		for i := range moments {
			moments[i] = start.Add(time.Duration(random.IntN(300)))
		}
		want := 0
		for _, from := range moments {
			in := 0
			for _, at := range moments {
				if !at.Before(from) && at.Before(from.Add(window)) {
					in++
				}
			}
			want = max(want, in)
		}
		if got := MaxInAnyInterval(moments, window); got != want {
			t.Fatalf("window %d, moments %v: got %d, want %d", window, moments, got, want)
		}
	}
}
