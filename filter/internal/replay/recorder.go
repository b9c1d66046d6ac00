package replay

import "github.com/weir-mesh/weir/filter/internal/bufpool"

// The bytes that a worker records at one time have a bound: a request for which there is no room is sent once.
const (
	maxRecorded = 8 << 20 // bytes of all recordings of one worker
	maxSpare    = 1 << 20 // bytes of buffers that it keeps for reuse
	minBuffer   = 1 << 10 // the smallest buffer, an ordinary GET
)

// Recorder is what the recordings of one worker share: their bound, and a pool of buffers. Without the pool each
// request would leave a kilobyte of garbage.
type Recorder struct {
	pool    bufpool.Pool
	headers [][2]string
	named   []string
}

// NewRecorder is the recorder of a new worker.
func NewRecorder() *Recorder {
	return &Recorder{pool: bufpool.Pool{MaxLent: maxRecorded, MaxSpare: maxSpare, Smallest: minBuffer}}
}

// Bytes is how many bytes the recordings take now.
func (r *Recorder) Bytes() int { return r.pool.Lent() }
