package run

import (
	"bytes"
	"sync"
)

// tailBytes is how much of Envoy's log an error shows: enough for a policy with dozens of mistakes.
const tailBytes = 8 << 10

// tail keeps the end of what is written to it, from the start of a line.
type tail struct {
	limit int

	mu  sync.Mutex
	buf []byte
	cut bool
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p...)
	if over := len(t.buf) - t.limit; over > 0 {
		t.buf = append(t.buf[:0], t.buf[over:]...)
		t.cut = true
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	kept := t.buf
	if _, rest, found := bytes.Cut(kept, []byte("\n")); t.cut && found {
		kept = rest
	}
	return string(bytes.TrimRight(kept, "\n"))
}
