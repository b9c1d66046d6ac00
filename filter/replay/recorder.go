package replay

import "math/bits"

// What a worker records at one time has a bound: a request that finds no room is not sent again.
const (
	maxRecorded = 8 << 20 // bytes of all recordings of one worker
	maxSpare    = 1 << 20 // bytes of buffers that it keeps for the next ones
	minBuffer   = 1 << 10 // the smallest buffer, an ordinary GET; each next size is twice as large
)

// Recorder is what the recordings of one worker have in common: their bound, and buffers that are used again. Without
// those each request would leave a kilobyte of garbage, whether it fails or not. The zero Recorder is ready.
type Recorder struct {
	bytes   int // of the recordings' buffers
	spare   [][]byte
	kept    int // bytes of the spare ones
	headers [][2]string
	named   []string
}

// Bytes is how much memory the recordings take at the moment.
func (r *Recorder) Bytes() int { return r.bytes }

// buffer finds room for n bytes, nil where the bound is reached.
func (r *Recorder) buffer(n int) []byte {
	size := 1 << bits.Len(uint(max(n, minBuffer)-1))
	if r.bytes+size > maxRecorded {
		return nil
	}
	r.bytes += size
	for i := len(r.spare) - 1; i >= 0; i-- {
		if b := r.spare[i]; cap(b) == size {
			last := len(r.spare) - 1
			r.spare[i], r.spare[last] = r.spare[last], nil
			r.spare = r.spare[:last]
			r.kept -= size
			return b
		}
	}
	return make([]byte, 0, size)
}

func (r *Recorder) giveBack(b []byte) {
	r.bytes -= cap(b)
	if r.kept+cap(b) <= maxSpare {
		r.kept += cap(b)
		r.spare = append(r.spare, b[:0])
	}
}
