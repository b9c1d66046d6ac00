package replay

import "github.com/weir-mesh/weir/filter/internal/bufpool"

// What a worker records at one time has a bound: a request that finds no room is sent once.
const (
	maxRecorded = 8 << 20 // bytes of all recordings of one worker
	maxSpare    = 1 << 20 // bytes of buffers that it keeps for the next ones
	minBuffer   = 1 << 10 // the smallest buffer, an ordinary GET
)

// Recorder is what the recordings of one worker have in common: their bound, and buffers that are used again. Without
// those each request would leave a kilobyte of garbage, whether it fails or not.
type Recorder struct {
	pool    bufpool.Pool
	headers [][2]string
	named   []string
}

// NewRecorder has no recordings yet.
func NewRecorder() *Recorder {
	return &Recorder{pool: bufpool.Pool{MaxLent: maxRecorded, MaxSpare: maxSpare, Smallest: minBuffer}}
}

// Bytes is how much memory the recordings take at the moment.
func (r *Recorder) Bytes() int { return r.pool.Lent() }
