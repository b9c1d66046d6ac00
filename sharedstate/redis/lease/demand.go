package lease

import "time"

// averagedOver is the time constant of the average of demand, in ns.
const averagedOver = float64(200 * time.Millisecond)

// demand is the rate of requests, as an exponentially weighted average.
type demand struct {
	last int64
	rate float64 // requests a nanosecond, at time last
}

// add counts n requests.
func (d *demand) add(n, now int64) {
	d.rate = d.at(now) + float64(n)/averagedOver
	d.last = now
}

// at is the average at time now, in requests a nanosecond. With x = (now - last) / averagedOver it falls by
// 1 / (1 + x + x²/2), which is close to exp(-x) and cheaper.
func (d *demand) at(now int64) float64 {
	x := float64(max(now-d.last, 0)) / averagedOver
	return d.rate / (1 + x + x*x/2)
}
