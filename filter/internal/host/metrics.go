package host

// Counter is one of Envoy's counters, shared by all workers. The zero Counter counts nothing.
type Counter struct{ id uint32 }

// Gauge is one of Envoy's gauges, shared by all workers. The zero Gauge shows nothing.
type Gauge struct{ id uint32 }

// Histogram is one of Envoy's histograms, shared by all workers. The zero Histogram records nothing.
type Histogram struct{ id uint32 }

// The kinds of metrics in the ABI (proxy_metric_type_t).
const (
	kindCounter   = 0
	kindGauge     = 1
	kindHistogram = 2
)

// DefineCounter finds or defines the counter with that name.
func DefineCounter(name string) (Counter, error) {
	id, err := defineMetric(kindCounter, name)
	return Counter{id}, err
}

// DefineGauge finds or defines the gauge with that name.
func DefineGauge(name string) (Gauge, error) {
	id, err := defineMetric(kindGauge, name)
	return Gauge{id}, err
}

// DefineHistogram finds or defines the histogram with that name.
func DefineHistogram(name string) (Histogram, error) {
	id, err := defineMetric(kindHistogram, name)
	return Histogram{id}, err
}

// Record adds a value.
func (h Histogram) Record(value uint64) {
	if h.id != 0 {
		recordMetric(h.id, value)
	}
}

// Add counts n more.
func (c Counter) Add(n uint64) {
	if c.id != 0 && n != 0 {
		incrementMetric(c.id, int64(n))
	}
}

// Set shows a value.
func (g Gauge) Set(value uint64) {
	if g.id != 0 {
		recordMetric(g.id, value)
	}
}

// Raise adds one.
func (g Gauge) Raise() {
	if g.id != 0 {
		incrementMetric(g.id, 1)
	}
}

// Defined reports whether the gauge is one of Envoy's.
func (g Gauge) Defined() bool { return g.id != 0 }

// Value reads what all workers together have counted, since Envoy started.
func (c Counter) Value() (uint64, error) { return value(c.id) }

// Value reads what is shown.
func (g Gauge) Value() (uint64, error) { return value(g.id) }

func value(id uint32) (uint64, error) {
	if id == 0 {
		return 0, nil
	}
	return getMetric(id)
}
