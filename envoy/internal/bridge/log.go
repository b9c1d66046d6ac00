package bridge

import (
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// journal writes lines for people. Trouble with Redis comes with each request, so it is told once when it begins, at most
// once in quiet while it lasts, and once when it has ended.
type journal struct {
	mu     sync.Mutex
	out    io.Writer
	down   atomic.Bool // set with mu held; read without, since each request asks
	told   time.Time   // the last line of trouble
	untold int         // failures since
}

const quiet = 10 * time.Second

func (j *journal) line(format string, a ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.write(format, a...)
}

func (j *journal) write(format string, a ...any) {
	fmt.Fprintf(j.out, "weir bridge: "+format+"\n", a...)
}

// trouble notes that Redis could not be reached.
func (j *journal) trouble(now time.Time, where string, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.untold++
	if j.down.Load() && now.Sub(j.told) < quiet {
		return
	}
	if j.down.Load() {
		j.write("Redis %s still does not answer, %d failures since the last line: %v", where, j.untold, err)
	} else {
		j.write("Redis %s does not answer: %v", where, err)
	}
	j.down.Store(true)
	j.told, j.untold = now, 0
}

// fine notes that Redis answered.
func (j *journal) fine(where string) {
	if !j.down.Load() {
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.down.CompareAndSwap(true, false) {
		j.write("Redis %s answers again", where)
	}
}
