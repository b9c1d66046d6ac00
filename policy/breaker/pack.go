package breaker

import (
	"encoding/binary"
	"time"
)

// The packed form of a State, little endian. Times are nanoseconds of the machine's monotonic clock.
//
//	 0  u8   status: 0 closed, 1 half-open, 2 open
//	 1  u8   forced: 0 not, 1 open, 2 closed
//	 2  u8   cause of the last transition, as Cause counts; 0 none
//	 3  u8   number p of probe slots that follow the fixed part; only half-open has any
//	 4  u8   1: a window of failed calls follows, 2: one of slow calls, 3: both in this order
//	 5  u8   number of further windows of failed calls, which follow the first one
//	 6  u8   number of further windows of slow calls, which follow the first one
//	 7  u8   0
//	 8  u32  generation
//	12  u32  failures
//	16  u32  successes
//	20  u32  opens
//	24  i64  since
//	32  i64  wait
//	40  p x i64  expiry of each probe slot, 0: free
//	    w x 104  the windows
//
// A state takes 40 bytes. Half-open it takes at most 40 + 256, closed 40 + 208, or 40 + 832 if the policies of several
// plugins have windows of different lengths.
const stateFixed = 40

// The windows that follow, as bits.
const (
	hasFailed = 1 << iota
	hasSlow
)

// Size is the number of bytes that AppendTo appends.
func (s *State) Size() int {
	return stateFixed + 8*s.packedProbes() + WindowSize*(s.Failed.len()+s.Slow.len())
}

// packedProbes is the number of probe slots up to the last that is taken.
func (s *State) packedProbes() int {
	if s.Status != HalfOpen {
		return 0
	}
	n := MaxProbes
	for n > 0 && s.Probes[n-1] == 0 {
		n--
	}
	return n
}

// AppendTo packs the state behind b.
func (s *State) AppendTo(b []byte) []byte {
	probes, windows := s.packedProbes(), byte(0)
	failed, slow := s.Failed.len(), s.Slow.len()
	if failed > 0 {
		windows |= hasFailed
	}
	if slow > 0 {
		windows |= hasSlow
	}
	le := binary.LittleEndian
	fixed := [stateFixed]byte{
		byte(s.Status), byte(s.Forced), byte(s.Cause), byte(probes), windows, byte(max(failed-1, 0)), byte(max(slow-1, 0)),
	}
	le.PutUint32(fixed[8:], s.Generation)
	le.PutUint32(fixed[12:], s.Failures)
	le.PutUint32(fixed[16:], s.Successes)
	le.PutUint32(fixed[20:], s.Opens)
	le.PutUint64(fixed[24:], uint64(s.Since))
	le.PutUint64(fixed[32:], uint64(s.Wait))
	b = append(b, fixed[:]...) // at once: TinyGo appends by a call
	for _, expiry := range s.Probes[:probes] {
		b = le.AppendUint64(b, uint64(expiry))
	}
	for i := range failed {
		b = s.Failed[i].AppendTo(b)
	}
	for i := range slow {
		b = s.Slow[i].AppendTo(b)
	}
	return b
}

// Unpack reads a packed state, all of b. Bytes that no state packs to are no error: they are read as a fresh state, and
// ok is false.
func (s *State) Unpack(b []byte) (ok bool) {
	*s = State{}
	if !s.unpack(b) {
		*s = State{}
		return false
	}
	return true
}

// unpack reads a packed state into a fresh one, and may leave parts of it where ok is false.
func (s *State) unpack(b []byte) (ok bool) {
	if len(b) < stateFixed || b[7] != 0 {
		return false
	}
	s.Status, s.Forced, s.Cause = Status(b[0]), Forced(b[1]), Cause(b[2])
	probes, windows := int(b[3]), b[4]
	failed, slow := int(windows&hasFailed), int(windows&hasSlow)/hasSlow
	if (failed == 0 && b[5] != 0) || (slow == 0 && b[6] != 0) {
		return false
	}
	failed, slow = failed+int(b[5]), slow+int(b[6])
	if s.Status > Open || s.Forced > ForcedClosed || !s.Cause.Known() || windows > hasFailed|hasSlow || max(failed, slow) > MaxWindows ||
		probes > MaxProbes || (probes > 0 && s.Status != HalfOpen) ||
		len(b) != stateFixed+8*probes+WindowSize*(failed+slow) {
		return false
	}
	le := binary.LittleEndian
	s.Generation = le.Uint32(b[8:])
	s.Failures = le.Uint32(b[12:])
	s.Successes = le.Uint32(b[16:])
	s.Opens = le.Uint32(b[20:])
	s.Since = int64(le.Uint64(b[24:]))
	s.Wait = time.Duration(le.Uint64(b[32:]))
	b = b[stateFixed:]
	for i := range probes {
		s.Probes[i] = int64(le.Uint64(b))
		b = b[8:]
	}
	return s.Failed.unpack(b[:WindowSize*failed], failed) && s.Slow.unpack(b[WindowSize*failed:], slow)
}

// unpack reads n windows. Two of one width are impossible, and so is a fresh one.
func (ws *Windows) unpack(b []byte, n int) (ok bool) {
	for i := range n {
		w := &ws[i]
		if !w.unpack(b[WindowSize*i:]) || (n > 1 && (w.Width == 0 || ws.of(w.Width) != w)) {
			return false
		}
	}
	return true
}

// The packed form of a Window, little endian:
//
//	 0  7 bytes  width of a bucket, nanoseconds; 0: fresh
//	 7  u8   among several windows: the minute in which it was last used, modulo 255, plus 1; 0 if it is alone
//	 8  i64  start of the newest bucket, nanoseconds, a multiple of the width
//	16  11 x { u32 calls, u32 bad }
//	104

// widthMask is the bits of the width.
const widthMask = 1<<56 - 1

// AppendTo packs the window behind b, in WindowSize bytes.
func (w *Window) AppendTo(b []byte) []byte {
	le := binary.LittleEndian
	var window [WindowSize]byte
	le.PutUint64(window[0:], uint64(w.Width)&widthMask|uint64(w.Used)<<56)
	le.PutUint64(window[8:], uint64(w.Start))
	for i := range w.Buckets {
		le.PutUint32(window[16+8*i:], w.Buckets[i].Calls)
		le.PutUint32(window[20+8*i:], w.Buckets[i].Bad)
	}
	return append(b, window[:]...)
}

// Unpack reads a packed window, all of b. Bytes that no window packs to are no error: they are read as a fresh window,
// and ok is false.
func (w *Window) Unpack(b []byte) (ok bool) {
	if len(b) != WindowSize || !w.unpack(b) {
		*w = Window{}
		return false
	}
	return true
}

// unpack reads WindowSize bytes, and leaves what it read where ok is false.
func (w *Window) unpack(b []byte) (ok bool) {
	le := binary.LittleEndian
	w.Width, w.Used, w.Start = int64(le.Uint64(b)&widthMask), b[7], int64(le.Uint64(b[8:]))
	b = b[16:WindowSize]
	for i := range w.Buckets {
		bucket := Bucket{Calls: le.Uint32(b[8*i:]), Bad: le.Uint32(b[8*i+4:])}
		if bucket.Bad > bucket.Calls {
			return false
		}
		w.Buckets[i] = bucket
	}
	if w.Width == 0 {
		return *w == Window{}
	}
	return w.Start >= 0 && w.Start%w.Width == 0
}
