package proxyhost

// The kinds of metrics (proxy_metric_type_t).
const (
	counter   = 0
	gauge     = 1
	histogram = 2
)

// metrics are those of one proxy. Ids begin at 1: the module takes 0 for none.
type metrics struct {
	all    []metric
	byName map[string]uint32
}

type metric struct {
	name  string
	kind  uint32
	value uint64
}

func newMetrics() metrics { return metrics{all: make([]metric, 1), byName: map[string]uint32{}} }

func (m *metrics) define(kind uint32, name string) (id uint32) {
	if id, ok := m.byName[name]; ok {
		return id
	}
	id = uint32(len(m.all))
	m.all = append(m.all, metric{name: name, kind: kind})
	m.byName[name] = id
	return id
}

// get is the metric with this id, nil where there is none.
func (m *metrics) get(id uint32) *metric {
	if id == 0 || int(id) >= len(m.all) {
		return nil
	}
	return &m.all[id]
}

// Counter is what a counter or a gauge shows, 0 where there is none.
func (h *Host) Counter(name string) uint64 {
	if m := h.metrics.get(h.metrics.byName[name]); m != nil {
		return m.value
	}
	return 0
}
