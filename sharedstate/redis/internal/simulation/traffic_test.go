package simulation

import "math"

// traffic is how requests come.
type traffic uint8

const (
	steady traffic = iota // Poisson, at the same rate at each proxy
	bursty                // each proxy by itself: on for 200 ms on average at 5 times the rate, off for 800 ms
	skewed                // Poisson, proxy i at a rate proportional to 1/i (Zipf)
)

func (t traffic) String() string { return [...]string{"steady", "bursty", "skewed"}[t] }

const on, cycle = 200 * milli, 1000 * milli

// rates is how many requests a second come to each proxy.
func (t traffic) rates(total float64, proxies int) []float64 {
	rates, sum := make([]float64, proxies), 0.0
	for i := range rates {
		rates[i] = 1
		if t == skewed {
			rates[i] = 1 / float64(i+1)
		}
		sum += rates[i]
	}
	for i := range rates {
		rates[i] *= total / sum
	}
	return rates
}

// arrivals lets requests come to a place in the mesh.
func (m *mesh) arrivals(p *place, rate float64, t traffic) {
	exp := func(mean float64) int64 { return int64(math.Ceil(m.dice.ExpFloat64() * mean)) }
	until := int64(math.MaxInt64) // when the burst ends
	if t == bursty {
		rate *= float64(cycle) / float64(on)
		until = 0
	}
	var next func()
	plan := func() {
		at := m.clock.now + exp(float64(second)/rate)
		for at > until { // what is left of the gap passes while it is on: it has no memory
			start := until + exp(float64(cycle-on))
			until = start + exp(float64(on))
			at = start + exp(float64(second)/rate)
		}
		m.clock.after(at-m.clock.now, next)
	}
	next = func() {
		m.request(p)
		plan()
	}
	plan()
}
