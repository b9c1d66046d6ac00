package evaluate_test

import (
	"fmt"
	"maps"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/promql/parser"
	"go.yaml.in/yaml/v3"

	"github.com/weir-mesh/weir/envoy/dashboard"
	"github.com/weir-mesh/weir/envoy/dashboard/evaluate"
)

// unitTests is what this test reads of promtool's format for tests of rules:
// https://prometheus.io/docs/prometheus/latest/configuration/unit_testing_rules/
type unitTests struct {
	EvaluationInterval model.Duration `yaml:"evaluation_interval"`
	Tests              []unitTest
}

type unitTest struct {
	Name        string
	Interval    model.Duration
	InputSeries []struct{ Series, Values string } `yaml:"input_series"`
	Expressions []struct {
		Expr     string
		EvalTime model.Duration `yaml:"eval_time"`
		Samples  []struct {
			Labels string
			Value  float64
		} `yaml:"exp_samples"`
	} `yaml:"promql_expr_test"`
}

var epoch = time.Unix(0, 0).UTC() // as in promtool

// TestAlertsOverTime runs alerts_test.yaml as `promtool test rules` does, with Prometheus's engine. What an alert waits
// for (`for`) and the series ALERTS are done here, since promtool and package rules bring half of the clouds' SDKs along.
func TestAlertsOverTime(t *testing.T) {
	raw, err := os.ReadFile("../alerts_test.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file unitTests
	if err := yaml.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	rules, err := dashboard.Rules()
	if err != nil {
		t.Fatal(err)
	}
	tested := map[string]bool{}
	for _, test := range file.Tests {
		for _, e := range test.Expressions {
			for _, s := range e.Samples {
				tested[metricOf(t, s.Labels).Get("alertname")] = true
			}
		}
		t.Run(test.Name, func(t *testing.T) {
			t.Parallel()
			test.run(t, rules, time.Duration(file.EvaluationInterval))
		})
	}
	for _, r := range rules {
		if !tested[r.Alert] {
			t.Errorf("%s: no test in alerts_test.yaml in which it fires, want one", r.Alert)
		}
	}
}

func metricOf(t *testing.T, text string) labels.Labels {
	t.Helper()
	l, err := parser.ParseMetric(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return l
}

func (u *unitTest) run(t *testing.T, rules []dashboard.Rule, every time.Duration) {
	var s evaluate.Samples
	for _, in := range u.InputSeries {
		metric, values, err := parser.ParseSeriesDesc(in.Series + " " + in.Values)
		if err != nil {
			t.Fatalf("%s: %v", in.Series, err)
		}
		for i, v := range values {
			if !v.Omitted {
				s.Add(metric, epoch.Add(time.Duration(i)*time.Duration(u.Interval)), v.Value)
			}
		}
	}
	last := time.Duration(0)
	for _, e := range u.Expressions {
		last = max(last, time.Duration(e.EvalTime))
	}
	since := make([]map[string]time.Time, len(rules)) // of each rule's active alerts, by their labels
	for at := time.Duration(0); at <= last; at += every {
		for i, r := range rules {
			since[i] = u.evaluate(t, &s, r, since[i], epoch.Add(at))
		}
	}
	for _, e := range u.Expressions {
		vector, err := s.Query(e.Expr, epoch.Add(time.Duration(e.EvalTime)))
		if err != nil {
			t.Fatal(err)
		}
		var got, want []string
		for _, sample := range vector {
			got = append(got, fmt.Sprint(sample.Metric, " ", sample.F))
		}
		for _, sample := range e.Samples {
			want = append(want, fmt.Sprint(metricOf(t, sample.Labels), " ", sample.Value))
		}
		slices.Sort(got)
		slices.Sort(want)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s at %v: (-want +got) %s", u.Name, e.Expr, time.Duration(e.EvalTime), diff)
		}
	}
}

// evaluate evaluates a rule once and writes ALERTS, as Prometheus does. It returns since when each alert is active.
func (u *unitTest) evaluate(t *testing.T, s *evaluate.Samples, r dashboard.Rule, since map[string]time.Time, at time.Time) map[string]time.Time {
	t.Helper()
	wait := model.Duration(0)
	if r.For != "" {
		var err error
		if wait, err = model.ParseDuration(r.For); err != nil {
			t.Fatalf("%s: %v", r.Alert, err)
		}
	}
	vector, err := s.Query(r.Expr, at)
	if err != nil {
		t.Fatalf("%s: %v", r.Alert, err)
	}
	alert := func(base labels.Labels, state string) labels.Labels {
		b := labels.NewBuilder(base).Del("__name__").Set("__name__", "ALERTS").Set("alertname", r.Alert).Set("alertstate", state)
		for name, value := range r.Labels {
			b.Set(name, value)
		}
		return b.Labels()
	}
	active := map[string]time.Time{}
	for _, sample := range vector {
		key := sample.Metric.String()
		began, before := since[key]
		if !before {
			began = at
		}
		active[key] = began
		pending, firing := 1.0, math.Float64frombits(value.StaleNaN)
		if at.Sub(began) >= time.Duration(wait) {
			pending, firing = firing, pending
		}
		s.Add(alert(sample.Metric, "pending"), at, pending)
		s.Add(alert(sample.Metric, "firing"), at, firing)
	}
	for _, key := range slices.Sorted(maps.Keys(since)) {
		if _, still := active[key]; still {
			continue
		}
		base := labels.EmptyLabels()
		if key != "{}" {
			base = metricOf(t, strings.TrimSpace(key))
		}
		for _, state := range []string{"pending", "firing"} {
			s.Add(alert(base, state), at, math.Float64frombits(value.StaleNaN))
		}
	}
	return active
}
