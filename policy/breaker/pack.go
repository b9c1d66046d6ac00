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
//	 4  u8   1: the window of failed calls follows, 2: that of slow calls, 3: both in this order
//	 5  u8 x 3  0
//	 8  u32  generation
//	12  u32  failures
//	16  u32  successes
//	20  u32  opens
//	24  i64  since
//	32  i64  wait
//	40  p x i64  expiry of each probe slot, 0: free
//	    w x 104  the windows
//
// A state takes 40 bytes, and at most 40 + 256 + 208.
const stateFixed = 40

// The windows that follow, as bits.
const (
	hasFailed = 1 << iota
	hasSlow
)

// Size is the number of bytes that AppendTo appends.
func (s *State) Size() int {
	size := stateFixed + 8*s.packedProbes()
	if s.Failed.Width != 0 {
		size += WindowSize
	}
	if s.Slow.Width != 0 {
		size += WindowSize
	}
	return size
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
	if s.Failed.Width != 0 {
		windows |= hasFailed
	}
	if s.Slow.Width != 0 {
		windows |= hasSlow
	}
	le := binary.LittleEndian
	b = append(b, byte(s.Status), byte(s.Forced), byte(s.Cause), byte(probes), windows, 0, 0, 0)
	b = le.AppendUint32(b, s.Generation)
	b = le.AppendUint32(b, s.Failures)
	b = le.AppendUint32(b, s.Successes)
	b = le.AppendUint32(b, s.Opens)
	b = le.AppendUint64(b, uint64(s.Since))
	b = le.AppendUint64(b, uint64(s.Wait))
	for _, expiry := range s.Probes[:probes] {
		b = le.AppendUint64(b, uint64(expiry))
	}
	if windows&hasFailed != 0 {
		b = s.Failed.AppendTo(b)
	}
	if windows&hasSlow != 0 {
		b = s.Slow.AppendTo(b)
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
	if len(b) < stateFixed || b[5]|b[6]|b[7] != 0 {
		return false
	}
	s.Status, s.Forced, s.Cause = Status(b[0]), Forced(b[1]), Cause(b[2])
	probes, windows := int(b[3]), b[4]
	if s.Status > Open || s.Forced > ForcedClosed || !s.Cause.Known() || windows > hasFailed|hasSlow ||
		probes > MaxProbes || (probes > 0 && s.Status != HalfOpen) ||
		len(b) != stateFixed+8*probes+WindowSize*int(windows&1+windows>>1) {
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
	if windows&hasFailed != 0 {
		if !s.Failed.Unpack(b[:WindowSize]) {
			return false
		}
		b = b[WindowSize:]
	}
	return windows&hasSlow == 0 || s.Slow.Unpack(b)
}

// The packed form of a Window, little endian:
//
//	 0  i64  width of a bucket, nanoseconds; 0: fresh
//	 8  i64  start of the newest bucket, nanoseconds, a multiple of the width
//	16  11 x { u32 calls, u32 bad }
//	104

// AppendTo packs the window behind b, in WindowSize bytes.
func (w *Window) AppendTo(b []byte) []byte {
	le := binary.LittleEndian
	var window [WindowSize]byte
	le.PutUint64(window[0:], uint64(w.Width))
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
	w.Width, w.Start = int64(le.Uint64(b)), int64(le.Uint64(b[8:]))
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
	return w.Width > 0 && w.Start >= 0 && w.Start%w.Width == 0
}
