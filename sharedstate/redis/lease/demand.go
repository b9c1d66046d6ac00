package lease

import "time"

// memory is the time over which demand is averaged.
const memory = float64(200 * time.Millisecond)

// demand is how many requests come a second: an average that forgets.
type demand struct {
	last int64
	rate float64 // per nanosecond
}

// came notes a request. Between two, the average falls with x = dt / memory by 1 / (1 + x + x²/2), which is close to exp(-x) and
// cheaper.
func (d *demand) came(now int64) {
	d.rate = d.at(now) + 1/memory
	d.last = now
}

// at is the average at time now, in requests a nanosecond.
func (d *demand) at(now int64) float64 {
	x := float64(max(now-d.last, 0)) / memory
	return d.rate / (1 + x + x*x/2)
}
