package evaluate

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/util/annotations"
)

// Samples are scraped metrics. The zero Samples is empty.
type Samples struct {
	series map[string]*series // by labels
}

type series struct {
	labels  labels.Labels
	samples []chunks.Sample
}

// sample is one value at a time in milliseconds.
type sample struct {
	t int64
	v float64
}

func (s sample) T() int64                      { return s.t }
func (s sample) ST() int64                     { return 0 }
func (s sample) F() float64                    { return s.v }
func (s sample) H() *histogram.Histogram       { return nil }
func (s sample) FH() *histogram.FloatHistogram { return nil }
func (s sample) Type() chunkenc.ValueType      { return chunkenc.ValFloat }
func (s sample) Copy() chunks.Sample           { return s }

// Scrape takes the text of /stats/prometheus as it was at a time, under the label that Prometheus would give it. Times
// go up from one scrape of an instance to the next.
func (s *Samples) Scrape(at time.Time, instance, text string) error {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		return err
	}
	for _, family := range families {
		vector, err := expfmt.ExtractSamples(&expfmt.DecodeOptions{Timestamp: model.TimeFromUnixNano(at.UnixNano())}, family)
		if err != nil {
			return err
		}
		for _, one := range vector {
			b := labels.NewScratchBuilder(len(one.Metric) + 1)
			for name, value := range one.Metric {
				b.Add(string(name), string(value))
			}
			b.Add("instance", instance)
			b.Sort()
			s.Add(b.Labels(), one.Timestamp.Time(), float64(one.Value))
		}
	}
	return nil
}

// Add takes one sample of a series. Times go up from one sample to the next.
func (s *Samples) Add(metric labels.Labels, at time.Time, value float64) {
	if s.series == nil {
		s.series = map[string]*series{}
	}
	kept := s.series[metric.String()]
	if kept == nil {
		kept = &series{labels: metric}
		s.series[metric.String()] = kept
	}
	kept.samples = append(kept.samples, sample{at.UnixMilli(), value})
}

// Query evaluates an expression whose result is a vector, at a time. Warnings, such as those for a rate of what is no
// counter, are errors.
func (s *Samples) Query(expr string, at time.Time) (promql.Vector, error) {
	engine := promql.NewEngine(promql.EngineOpts{MaxSamples: 1e7, Timeout: 10 * time.Second})
	defer func() { _ = engine.Close() }()
	query, err := engine.NewInstantQuery(context.Background(), s, nil, expr, at)
	if err != nil {
		return nil, err
	}
	defer query.Close()
	result := query.Exec(context.Background())
	if result.Err != nil {
		return nil, result.Err
	}
	for _, warning := range result.Warnings.AsErrors() {
		if !errors.Is(warning, annotations.PossibleNonCounterInfo) { // Envoy's counters are not named _total
			return nil, fmt.Errorf("%s: %w", expr, warning)
		}
	}
	vector, err := result.Vector()
	if err != nil {
		return nil, err
	}
	return slices.Clone(vector), nil // the query's own is used again when it closes
}

// Number is the only value of a vector, NaN for an empty one or one of several.
func Number(v promql.Vector) float64 {
	if len(v) != 1 {
		return math.NaN()
	}
	return v[0].F
}

// Querier implements storage.Queryable.
func (s *Samples) Querier(mint, maxt int64) (storage.Querier, error) {
	return querier{s, mint, maxt}, nil
}

type querier struct {
	*Samples
	mint, maxt int64
}

// Select implements storage.Querier.
func (q querier) Select(_ context.Context, _ bool, _ *storage.SelectHints, matchers ...*labels.Matcher) storage.SeriesSet {
	var found []storage.Series
	for _, s := range q.series {
		if !slices.ContainsFunc(matchers, func(m *labels.Matcher) bool { return !m.Matches(s.labels.Get(m.Name)) }) {
			within := slices.DeleteFunc(slices.Clone(s.samples), func(c chunks.Sample) bool { return c.T() < q.mint || c.T() > q.maxt })
			found = append(found, storage.NewListSeries(s.labels, within))
		}
	}
	slices.SortFunc(found, func(a, b storage.Series) int { return labels.Compare(a.Labels(), b.Labels()) })
	return &set{found: found}
}

// LabelValues implements storage.LabelQuerier; the engine does not ask for them.
func (querier) LabelValues(context.Context, string, *storage.LabelHints, ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return nil, nil, nil
}

// LabelNames implements storage.LabelQuerier; the engine does not ask for them.
func (querier) LabelNames(context.Context, *storage.LabelHints, ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return nil, nil, nil
}

// Close implements storage.Querier.
func (querier) Close() error { return nil }

// set is the series found, one after the other.
type set struct {
	found []storage.Series
	next  int
}

func (s *set) Next() bool                        { s.next++; return s.next <= len(s.found) }
func (s *set) At() storage.Series                { return s.found[s.next-1] }
func (s *set) Err() error                        { return nil }
func (s *set) Warnings() annotations.Annotations { return nil }
