package registry

import (
	"testing"

	"github.com/weir-mesh/weir/sharedstate"
)

func TestLastChange(t *testing.T) {
	s := sharedstate.NewMemory()
	check := func(want int64) {
		t.Helper()
		if got, err := LastChange(s); err != nil || got != want {
			t.Errorf("got %d, %v, want %d", got, err, want)
		}
	}
	mark := func(at int64) {
		t.Helper()
		if err := MarkChange(s, at); err != nil {
			t.Fatal(err)
		}
	}
	check(0)
	for _, at := range []int64{5, 7, 6} { // one worker's clock is read before another's
		mark(at)
		check(at)
	}
	_, cas, err := s.Get(lastChangeKey)
	if err != nil || s.Set(lastChangeKey, []byte("other bytes"), cas) != nil {
		t.Fatal(err)
	}
	check(0)
	mark(8)
	check(8)
}
