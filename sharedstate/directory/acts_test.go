package directory

import (
	"testing"

	"github.com/weir-mesh/weir/sharedstate"
)

func TestActs(t *testing.T) {
	s := sharedstate.NewMemory()
	for _, at := range []int64{0, 5, 7, 6} { // the clock of a worker that waited for its turn is behind
		if at != 0 {
			if err := Act(s, at); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := LastAct(s); err != nil || got != at {
			t.Errorf("got %d, %v, want %d", got, err, at)
		}
	}
	if err := s.Set(actsKey, []byte("a stranger's"), sharedstate.CreateCAS); err == nil {
		t.Fatal("created twice")
	}
	_, cas, err := s.Get(actsKey)
	if err != nil || s.Set(actsKey, []byte("a stranger's"), cas) != nil {
		t.Fatal(err)
	}
	if got, err := LastAct(s); err != nil || got != 0 {
		t.Errorf("bytes of another form: %d, %v", got, err)
	}
	if err := Act(s, 8); err != nil {
		t.Fatal(err)
	}
	if got, _ := LastAct(s); got != 8 {
		t.Errorf("after them: %d", got)
	}
}
