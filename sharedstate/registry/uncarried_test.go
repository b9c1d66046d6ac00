package registry

import (
	"testing"

	"github.com/weir-mesh/weir/sharedstate"
)

func TestUncarried(t *testing.T) {
	store := sharedstate.NewMemory()
	read := func(want Uncarried) {
		t.Helper()
		if got, err := ReadUncarried(store, "aws"); err != nil || got != want {
			t.Errorf("ReadUncarried = %b, %v, want %b", got, err, want)
		}
	}
	read(0)
	for _, more := range []Uncarried{1 << 3, 1 << 63, 1<<5 | 1<<3} {
		if err := NoteUncarried(store, "aws", more); err != nil {
			t.Fatal(err)
		}
	}
	read(1<<3 | 1<<5 | 1<<63)
	if err := store.Set(uncarriedKey("aws"), []byte{2, 0}, 0); err != nil {
		t.Fatal(err)
	}
	read(0)
}
