package breaker

import (
	"bytes"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func anyWindow(t *rapid.T, name string) (w Window) {
	if !rapid.Bool().Draw(t, name) {
		return w
	}
	w.Width = rapid.Int64Range(1, 1<<40).Draw(t, "width")
	w.Start = w.Width * rapid.Int64Range(0, 1<<20).Draw(t, "start")
	for i := range w.Buckets {
		w.Buckets[i].Calls = rapid.Uint32().Draw(t, "calls")
		w.Buckets[i].Bad = rapid.Uint32Range(0, w.Buckets[i].Calls).Draw(t, "bad")
	}
	return w
}

func anyWindows(t *rapid.T, name string) (ws Windows) {
	n := 0
	for range rapid.IntRange(0, MaxWindows).Draw(t, "lengths") {
		if w := anyWindow(t, name); w.Width != 0 && ws.of(w.Width) == nil {
			w.Used = rapid.Uint8().Draw(t, "used")
			ws[n] = w
			n++
		}
	}
	return ws
}

func anyState(t *rapid.T) State {
	s := State{
		Status:     Status(rapid.IntRange(0, int(Open)).Draw(t, "status")),
		Generation: rapid.Uint32().Draw(t, "generation"),
		Failures:   rapid.Uint32().Draw(t, "failures"),
		Successes:  rapid.Uint32().Draw(t, "successes"),
		Opens:      rapid.Uint32().Draw(t, "opens"),
		Since:      rapid.Int64().Draw(t, "since"),
		Wait:       time.Duration(rapid.Int64().Draw(t, "wait")),
		Failed:     anyWindows(t, "failure rate"),
		Slow:       anyWindows(t, "slow calls"),
		Forced:     Forced(rapid.IntRange(0, int(ForcedClosed)).Draw(t, "forced")),
		Cause:      Cause(rapid.IntRange(0, int(lastCause)).Draw(t, "cause")),
	}
	if s.Status == HalfOpen {
		for i := range rapid.IntRange(0, MaxProbes).Draw(t, "probes") {
			s.Probes[i] = rapid.Int64().Draw(t, "expiry")
		}
	}
	return s
}

func TestStateRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := anyState(t)
		got := anyState(t) // what was in it before does not matter
		b := want.AppendTo([]byte{1, 2})[2:]
		if len(b) != want.Size() {
			t.Errorf("AppendTo appended %d bytes, want Size() = %d", len(b), want.Size())
		}
		if !got.Unpack(b) || got != want {
			t.Fatalf("Unpack(%x): want (-), got (+):\n%s", b, cmp.Diff(want, got))
		}
	})
}

// TestStateSize checks the documented sizes.
func TestStateSize(t *testing.T) {
	window := Window{Width: 1}
	lengths := Windows{{Width: 1}, {Width: 2}, {Width: 3}, {Width: 4}}
	halfOpen := State{Status: HalfOpen, Failed: Windows{window}, Slow: Windows{window}}
	halfOpen.Probes[MaxProbes-1] = 1
	for _, tc := range []struct {
		name  string
		state State
		want  int
	}{
		{"fresh", State{}, 40},
		{"open, with expiries that no longer count", State{Status: Open, Probes: halfOpen.Probes}, 40},
		{"half-open, the third slot taken", State{Status: HalfOpen, Probes: [MaxProbes]int64{2: 1}}, 40 + 3*8},
		{"one window", State{Slow: Windows{window}}, 40 + 104},
		{"windows of all lengths", State{Failed: lengths, Slow: lengths}, 40 + 832},
		{"half-open with windows", halfOpen, 40 + 256 + 208},
	} {
		if got := len(tc.state.AppendTo(nil)); got != tc.want || tc.state.Size() != tc.want {
			t.Errorf("%s: got %d bytes, Size() = %d, want %d", tc.name, got, tc.state.Size(), tc.want)
		}
	}
}

func TestImpossibleStateIsFresh(t *testing.T) {
	state := State{
		Status: HalfOpen, Cause: RecoveryTimeout, Probes: [MaxProbes]int64{1, 2},
		Failed: Windows{{Width: second, Start: 7 * second}}, Slow: Windows{{Width: second, Start: 7 * second}},
	}
	good := state.AppendTo(nil)
	set := func(at int, value byte) []byte {
		b := bytes.Clone(good)
		b[at] = value
		return b
	}
	twins := func(b []byte, at int) []byte {
		b[at] = 1
		return b
	}
	windows := len(good) - 2*WindowSize
	for _, tc := range []struct {
		name  string
		bytes []byte
	}{
		{"no bytes", nil},
		{"less than the fixed part", good[:stateFixed-1]},
		{"a byte less", good[:len(good)-1]},
		{"a byte more", append(bytes.Clone(good), 0)},
		{"unknown status", set(0, byte(Open)+1)},
		{"probes while open", set(0, byte(Open))},
		{"unknown forced", set(1, byte(ForcedClosed)+1)},
		{"unknown cause", set(2, byte(lastCause)+1)},
		{"more probes than bytes", set(3, 3)},
		{"more probes than MaxProbes", set(3, MaxProbes+1)},
		{"fewer windows than bytes", set(4, hasSlow)},
		{"unknown windows", set(4, hasFailed|hasSlow|4)},
		{"more windows of failed calls than bytes", set(5, 1)},
		{"more windows of slow calls than bytes", set(6, 1)},
		{"a second window of failed calls with the width of the first", twins(set(4, hasFailed), 5)},
		{"further windows of failed calls without a first", twins(set(4, hasSlow), 5)},
		{"further windows of slow calls without a first", twins(set(4, hasFailed), 6)},
		{"a second window that is fresh", twins(append(set(4, hasFailed)[:len(good)-WindowSize], make([]byte, WindowSize)...), 5)},
		{"reserved byte 7", set(7, 1)},
		{"an impossible window of failed calls", set(windows+8, 1)},
		{"an impossible window of slow calls", set(windows+WindowSize+8, 1)},
	} {
		got := state
		if got.Unpack(tc.bytes) || got != (State{}) {
			t.Errorf("%s: Unpack(%x) left %+v, want a fresh state", tc.name, tc.bytes, got)
		}
	}
	if got := (State{}); !got.Unpack(good) || got != state {
		t.Errorf("Unpack(%x): want (-), got (+):\n%s", good, cmp.Diff(state, got))
	}
}

func FuzzStateUnpack(f *testing.F) {
	f.Add([]byte{})
	f.Add((&State{}).AppendTo(nil))
	halfOpen := State{Status: HalfOpen, Cause: RecoveryTimeout, Probes: [MaxProbes]int64{1, 2, 3}, Slow: Windows{{Width: 1}}}
	f.Add(halfOpen.AppendTo(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		var got, again State
		if !got.Unpack(b) {
			if got != (State{}) {
				t.Fatalf("Unpack(%x) = false left %+v, want a fresh state", b, got)
			}
			return
		}
		if !again.Unpack(got.AppendTo(nil)) || again != got {
			t.Fatalf("Unpack(%x), packed and unpacked again: want (-), got (+):\n%s", b, cmp.Diff(got, again))
		}
	})
}

func TestWindowRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := anyRate(t)
		var w, got Window
		now := int64(0)
		for range rapid.IntRange(0, 30).Draw(t, "calls") {
			now += rapid.Int64Range(0, int64(r.Window)).Draw(t, "pass")
			w.add(r.width(), rapid.Bool().Draw(t, "bad"), now)
		}
		b := w.AppendTo([]byte{1, 2})[2:]
		if len(b) != WindowSize || !got.Unpack(b) || got != w {
			t.Fatalf("Unpack(%x): got %+v, want %+v", b, got, w)
		}
	})
}

func TestImpossibleWindowIsFresh(t *testing.T) {
	good := Window{Width: second, Start: 7 * second}
	good.Buckets[7] = Bucket{Calls: 2, Bad: 2}
	for _, tc := range []struct {
		name   string
		change func(*Window)
	}{
		{"more bad calls than calls", func(w *Window) { w.Buckets[7].Bad = 3 }},
		{"a start between buckets", func(w *Window) { w.Start++ }},
		{"a start before the clock", func(w *Window) { w.Start = -second }},
		{"a width that no policy has", func(w *Window) { w.Width = 1<<56 - 1 }},
		{"calls without a width", func(w *Window) { w.Width = 0 }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bad, got := good, good
			tc.change(&bad)
			if got.Unpack(bad.AppendTo(nil)) || got != (Window{}) {
				t.Fatalf("Unpack left %+v, want a fresh window", got)
			}
		})
	}
	var got Window
	if b := good.AppendTo(nil); !got.Unpack(b) || got.Unpack(b[1:]) || got.Unpack(append(b, 0)) || got != (Window{}) {
		t.Fatalf("Unpack of a window with a byte more or less left %+v, want a fresh window", got)
	}
}

func FuzzWindowUnpack(f *testing.F) {
	w := Window{Width: second, Start: 7 * second}
	w.Buckets[7] = Bucket{Calls: 2, Bad: 2}
	f.Add(w.AppendTo(nil), int64(8))
	f.Add((&Window{}).AppendTo(nil), int64(0))
	w.Start = math.MaxInt64 / second * second
	f.Add(w.AppendTo(nil), int64(math.MaxInt64))
	r := &Rate{Threshold: 0.5, Window: 10 * time.Second, MinCalls: 1}
	f.Fuzz(func(t *testing.T, b []byte, now int64) {
		var w Window
		if w.Unpack(b) {
			if again := w.AppendTo(nil); !bytes.Equal(again, b) {
				t.Fatalf("Unpack(%x), packed again: got %x", b, again)
			}
		} else if w != (Window{}) {
			t.Fatalf("Unpack(%x) = false left %+v, want a fresh window", b, w)
		}
		// A window that was read can count.
		now = max(now, 0)
		w.add(r.width(), true, now)
		if calls, bad := w.sum(); calls == 0 || bad > calls || !new(Window).Unpack(w.AppendTo(nil)) {
			t.Fatalf("after a call at %d: got %+v, want a window with the call", now, w)
		}
	})
}
