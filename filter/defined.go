package main

import "github.com/weir-mesh/weir/filter/host"

// defined is the metrics that a VM has named, by name. Envoy keeps an id for each naming until the VM is gone, so a metric is named
// once and not again with each reload: that would be 0.6 MB a reload and worker with 1,000 clusters.
type defined struct {
	counters   map[string]host.Counter
	gauges     map[string]host.Gauge
	histograms map[string]host.Histogram
}

func (d *defined) counter(name string) (host.Counter, error) {
	return named(&d.counters, name, host.DefineCounter)
}

func (d *defined) gauge(name string) (host.Gauge, error) {
	return named(&d.gauges, name, host.DefineGauge)
}

func (d *defined) histogram(name string) (host.Histogram, error) {
	return named(&d.histograms, name, host.DefineHistogram)
}

// named finds a metric or names it. One that can't be named is tried again.
func named[M any](known *map[string]M, name string, define func(string) (M, error)) (M, error) {
	if m, ok := (*known)[name]; ok {
		return m, nil
	}
	m, err := define(name)
	if err != nil {
		return m, err
	}
	if *known == nil {
		*known = map[string]M{}
	}
	(*known)[name] = m
	return m, nil
}
