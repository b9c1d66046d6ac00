package simulation

// event is something that happens at a time.
type event struct {
	at  int64
	seq uint64
	do  func()
}

func (e *event) before(f *event) bool { return e.at < f.at || (e.at == f.at && e.seq < f.seq) }

// clock is simulated time, in nanoseconds, and what is going to happen: a binary heap. Of events at the same time the one that was
// planned first comes first, so a run is the same whenever its seed is.
type clock struct {
	now  int64
	seq  uint64
	heap []event
}

// after plans an event.
func (c *clock) after(d int64, do func()) {
	c.seq++
	c.heap = append(c.heap, event{c.now + d, c.seq, do})
	for i := len(c.heap) - 1; i > 0; {
		parent := (i - 1) / 2
		if !c.heap[i].before(&c.heap[parent]) {
			break
		}
		c.heap[i], c.heap[parent] = c.heap[parent], c.heap[i]
		i = parent
	}
}

// run lets time pass.
func (c *clock) run(until int64) {
	for len(c.heap) > 0 && c.heap[0].at <= until {
		first := c.pop()
		c.now = first.at
		first.do()
	}
	c.now = until
}

func (c *clock) pop() event {
	first, last := c.heap[0], len(c.heap)-1
	c.heap[0] = c.heap[last]
	c.heap[last] = event{}
	c.heap = c.heap[:last]
	for i := 0; ; {
		child := 2*i + 1
		if child+1 < last && c.heap[child+1].before(&c.heap[child]) {
			child++
		}
		if child >= last || !c.heap[child].before(&c.heap[i]) {
			return first
		}
		c.heap[i], c.heap[child] = c.heap[child], c.heap[i]
		i = child
	}
}
