package sharedstate

import "errors"

// Attempts bounds a compare-and-swap loop. Each mismatch means that another worker got through, so with W workers a
// change seldom takes more than a few; 1 % of the swaps mismatch once at 47,000 requests a second on 2 workers.
const Attempts = 64

// ErrContended says that a record was changed by others at each of Attempts tries.
var ErrContended = errors.New("sharedstate: gave up after 64 changes by other workers")

// Cell is a record's place in a store. It keeps the record that it works on and the buffer that this is packed into,
// so that a change allocates nothing; one goroutine uses it at a time.
type Cell struct {
	store  Store
	key    string
	record Record
	buf    []byte
}

// NewCell names a record in a store.
func NewCell(store Store, key string) *Cell {
	return &Cell{store: store, key: key, buf: make([]byte, 0, RecordMax)}
}

// Load reads the record, a fresh one where there is none, and the cas that Swap wants.
func (c *Cell) Load(r *Record) (cas uint32, err error) {
	value, cas, err := c.store.Get(c.key)
	if errors.Is(err, ErrNotFound) {
		*r = Record{}
		return CreateCAS, nil
	}
	if err != nil {
		return 0, err
	}
	r.Unpack(value)
	return cas, nil
}

// Swap stores the record where nobody changed it since it was loaded, else ErrMismatch.
func (c *Cell) Swap(r *Record, cas uint32) error {
	c.buf = r.AppendTo(c.buf[:0])
	return c.store.Set(c.key, c.buf, cas)
}

// Update loads the record, lets change work on it and stores it where change says so, again and again until nobody
// came between, at most Attempts times. It returns how often somebody did. Change may run several times, each time on a
// newly loaded record; it takes its results from the last run, and does not keep the record.
func (c *Cell) Update(change func(*Record) (store bool)) (conflicts int, err error) {
	r := &c.record
	for ; conflicts < Attempts; conflicts++ {
		cas, err := c.Load(r)
		if err != nil {
			return conflicts, err
		}
		if !change(r) {
			return conflicts, nil
		}
		err = c.Swap(r, cas)
		if err == nil {
			return conflicts, nil
		}
		if !errors.Is(err, ErrMismatch) {
			return conflicts, err
		}
	}
	return conflicts, ErrContended
}
