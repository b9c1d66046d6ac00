package registry

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/weir-mesh/weir/policy/spacesaving"
	"github.com/weir-mesh/weir/sharedstate"
)

// refusedBetween are so many refusals of a key.
func refusedBetween(since, last time.Duration, key uint64, times int, text string) *RefusedKeys {
	k := &RefusedKeys{Since: int64(since), Last: int64(last), Total: uint64(times)}
	for range times {
		k.Keys.Add(key, text)
	}
	return k
}

func TestRefusedKeys(t *testing.T) {
	store := sharedstate.NewMemory()
	for _, step := range []struct {
		more *RefusedKeys
		want string // since, last, total, key:count
	}{
		{refusedBetween(10*time.Minute, 11*time.Minute, 1, 3, ""), "10m0s 11m0s 3 1:3"},
		{refusedBetween(11*time.Minute, 12*time.Minute, 2, 5, "x-user=b"), "10m0s 12m0s 8 2:5 x-user=b 1:3"},
		{refusedBetween(15*time.Minute, 16*time.Minute, 1, 4, ""), "10m0s 16m0s 12 1:7 2:5 x-user=b"}, // the next period
		{refusedBetween(20*time.Minute, 21*time.Minute, 3, 1, ""), "15m0s 21m0s 5 1:4 3:1"},           // the first one is gone
		{refusedBetween(50*time.Minute, 51*time.Minute, 4, 2, ""), "50m0s 51m0s 2 4:2"},               // much later
		{refusedBetween(time.Minute, time.Minute, 5, 1, ""), "1m0s 1m0s 1 5:1"},                       // another clock
		{refusedBetween(time.Minute, time.Minute, 6, 2, strings.Repeat("é", 40)), "1m0s 1m0s 3 6:2 " + strings.Repeat("é", 30) + "… 5:1"},
	} {
		if err := NoteRefusedKeys(store, "aws", step.more); err != nil {
			t.Fatal(err)
		}
		k, err := ReadRefusedKeys(store, "aws")
		got := fmt.Sprint(time.Duration(k.Since), time.Duration(k.Last), " ", k.Total)
		for _, e := range k.Keys.Keys() {
			got += strings.TrimRight(fmt.Sprintf(" %d:%d %s", e.Key, e.Count, e.Text), " ")
		}
		if err != nil || got != step.want {
			t.Errorf("got %s, %v, want %s", got, err, step.want)
		}
	}
	if err := forgetRefusedKeys(store, "aws"); err != nil {
		t.Fatal(err)
	}
	if k, err := ReadRefusedKeys(store, "aws"); err != nil || k.Since != 0 || len(k.Keys.Keys()) != 0 {
		t.Errorf("forgotten: got %+v, %v, want none", k, err)
	}
}

// Whatever clients send as keys: what is stored has a bound, and other bytes are read as none.
func TestRefusedKeysAreBounded(t *testing.T) {
	store := sharedstate.NewMemory()
	for round := range 20 {
		more := &RefusedKeys{Since: int64(round+1) * int64(time.Minute), Last: 1 << 62, Total: 1 << 62}
		for i := range 1000 {
			more.Keys.Add(uint64(1000*round+i), strings.Repeat("x", 60_000))
			more.Keys.Add(1<<64-1, "") // with high counts
		}
		if err := NoteRefusedKeys(store, "aws", more); err != nil {
			t.Fatal(err)
		}
	}
	value, _, err := store.Get(refusedKeysKey("aws"))
	if most := 2800; err != nil || len(value) > most {
		t.Errorf("got %d bytes, %v, want at most %d", len(value), err, most)
	}
}

func TestRefusedKeysPacked(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var p, read keysPeriods
		for i := range p {
			k := &p[i]
			k.Since, k.Last = rapid.Int64Range(0, 1<<61).Draw(t, "since"), rapid.Int64Range(0, 1<<61).Draw(t, "last")
			k.Total = rapid.Uint64Range(0, 1<<61).Draw(t, "total")
			for range rapid.IntRange(0, spacesaving.Entries).Draw(t, "entries") {
				k.Keys.Put(spacesaving.Entry{Key: rapid.Uint64().Draw(t, "key"), Count: rapid.Uint32().Draw(t, "count"), Over: rapid.Uint32().Draw(t, "over"), Text: rapid.String().Draw(t, "text")})
			}
		}
		if ok := read.Unpack(p.AppendTo(nil)); !ok || !reflect.DeepEqual(read, p) {
			t.Fatalf("got %+v, %t, want %+v", read, ok, p)
		}
		read.Unpack(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes")) // must not panic
	})
}
