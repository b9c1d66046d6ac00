package engine

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// Stats are Envoy's counters and gauges by name, from /stats. Histograms and texts are left out.
func (e *Envoy) Stats() map[string]float64 {
	e.t.Helper()
	stats := map[string]float64{}
	for line := range strings.Lines(e.Admin("/stats")) {
		// A tag's value may contain ": ", a number does not.
		at := strings.LastIndex(line, ": ")
		if at < 0 {
			continue
		}
		if value, err := strconv.ParseFloat(strings.TrimSpace(line[at+2:]), 64); err == nil {
			stats[line[:at]] = value
		}
	}
	return stats
}

// Prometheus are the metrics of /stats/prometheus by name and labels, the labels in alphabetical order:
// `weir_requests_total{cluster="aws",decision="allowed"}`. Of a histogram h there are h_count and h_sum.
func (e *Envoy) Prometheus() map[string]float64 {
	e.t.Helper()
	metrics, err := parseMetrics(strings.NewReader(e.Admin("/stats/prometheus")))
	if err != nil {
		e.t.Fatalf("/stats/prometheus: %v", err)
	}
	return metrics
}

func parseMetrics(text io.Reader) (map[string]float64, error) {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(text)
	if err != nil {
		return nil, err
	}
	metrics := map[string]float64{}
	for name, family := range families {
		for _, m := range family.GetMetric() {
			labels := labelText(m)
			switch family.GetType() {
			case dto.MetricType_COUNTER:
				metrics[name+labels] = m.GetCounter().GetValue()
			case dto.MetricType_GAUGE:
				metrics[name+labels] = m.GetGauge().GetValue()
			case dto.MetricType_HISTOGRAM:
				metrics[name+"_count"+labels] = float64(m.GetHistogram().GetSampleCount())
				metrics[name+"_sum"+labels] = m.GetHistogram().GetSampleSum()
			default:
				return nil, fmt.Errorf("%s: metrics of type %s are not supported", name, family.GetType())
			}
		}
	}
	return metrics, nil
}

func labelText(m *dto.Metric) string {
	if len(m.GetLabel()) == 0 {
		return ""
	}
	pairs := make([]string, 0, len(m.GetLabel()))
	for _, label := range m.GetLabel() {
		pairs = append(pairs, label.GetName()+"="+strconv.Quote(label.GetValue()))
	}
	slices.Sort(pairs)
	return "{" + strings.Join(pairs, ",") + "}"
}

// Want is a condition on a metric's value, with a text for failure messages.
type Want struct {
	words string
	holds func(float64) bool
}

// Exactly is met by one value.
func Exactly(v float64) Want {
	return Want{fmt.Sprintf("exactly %v", v), func(got float64) bool { return got == v }}
}

// AtLeast is met by that value and all above.
func AtLeast(v float64) Want {
	return Want{fmt.Sprintf("at least %v", v), func(got float64) bool { return got >= v }}
}

// WaitStat waits until the stat of /stats is there and its value is as wanted, and returns the value.
func (e *Envoy) WaitStat(name string, want Want) float64 {
	e.t.Helper()
	return e.waitValue(name, want, e.Stats)
}

// WaitMetric waits until the metric of /stats/prometheus, named as in Prometheus, is there and its value is as wanted,
// and returns the value.
func (e *Envoy) WaitMetric(name string, want Want) float64 {
	e.t.Helper()
	return e.waitValue(name, want, e.Prometheus)
}

func (e *Envoy) waitValue(name string, want Want, read func() map[string]float64) (value float64) {
	e.t.Helper()
	e.wait(func() error {
		all := read()
		got, found := all[name]
		if found && want.holds(got) {
			value = got
			return nil
		}
		if found {
			return fmt.Errorf("%s is %v, want %s", name, got, want.words)
		}
		return fmt.Errorf("there is no %s, want %s; similar: %s", name, want.words, strings.Join(similar(name, all), ", "))
	})
	return value
}

// similar are the metrics with the same name but other labels, for a test's author who got a label wrong.
func similar(name string, all map[string]float64) []string {
	family, _, _ := strings.Cut(name, "{")
	var found []string
	for other, value := range all {
		if strings.HasPrefix(other, family) {
			found = append(found, fmt.Sprintf("%s %v", other, value))
		}
	}
	slices.Sort(found)
	return found
}
