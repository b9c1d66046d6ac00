package evaluate_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/weir-mesh/weir/envoy/dashboard"
)

// metrics are all there are of Weir's, and those of Envoy's that the files use, with the labels of each that are not Prometheus's own.
var metrics = map[string][]string{
	"weir_requests_total":            {"cluster", "decision"},
	"weir_responses_total":           {"cluster", "source"},
	"weir_mode":                      {"cluster"},
	"weir_breaker_state":             {"cluster"},
	"weir_breaker_transitions_total": {"cluster", "to"},
	"weir_rate_limit_current":        {"cluster"},
	"weir_rate_limit_keyed":          {"cluster"},
	"weir_rate_limit_mesh":           {"cluster"},
	"weir_policy_refused_time_ms":    nil,
	"envoy_extension_config_discovery_http_filter_weir_update_rejected": nil,
	"envoy_extension_config_discovery_http_filter_weir_update_time":     nil,
	"weir_success_ratio":            {"cluster"},
	"weir_no_healthy_host":          {"cluster"},
	"weir_upstream_failures_total":  {"cluster"},
	"weir_retries_total":            {"cluster"},
	"weir_retries_exhausted_total":  {"cluster"},
	"weir_attempts_uncarried_total": {"cluster", "reason"},
	"weir_failovers_total":          {"cluster", "to"},
	"weir_misrouted_total":          {"cluster", "to"},
	"weir_policy_missing_total":     {"cluster"},
	"weir_cache_not_kept_total":     {"cluster", "reason"},
	"weir_cache_not_used_total":     {"cluster", "reason"},
	"weir_in_flight":                {"cluster"},
	"weir_redis_calls_total":        {"result"},
	"weir_redis_latency_ms_bucket":  {"le"},
	"weir_leases_total":             {"result"},
	"weir_state_conflicts_total":    nil,
	"weir_faults_total":             nil,
}

// selected are the metrics of an expression. Each must be known, selected by labels that it has, and, where it is a
// counter or a histogram, be looked at by its change alone.
func selected(t *testing.T, where, expr string) (names []string) {
	t.Helper()
	tree, err := parser.ParseExpr(expr)
	if err != nil {
		t.Errorf("%s: got %v, want a valid expression", where, err)
		return nil
	}
	parser.Inspect(tree, func(node parser.Node, path []parser.Node) error {
		v, ok := node.(*parser.VectorSelector)
		if !ok {
			return nil
		}
		known, found := metrics[v.Name]
		if !found {
			t.Errorf("%s: got %s, want a metric of Weir, or one of Envoy that is listed", where, v.Name)
		}
		for _, m := range v.LabelMatchers {
			if m.Name != "__name__" && m.Name != "instance" && !slices.Contains(known, m.Name) {
				t.Errorf("%s: got for %s the label %s, want one that it has", where, v.Name, m.Name)
			}
		}
		counts := slices.ContainsFunc([]string{"_total", "_bucket", "_update_rejected"}, func(end string) bool { return strings.HasSuffix(v.Name, end) })
		var call string
		for _, above := range path {
			if c, ok := above.(*parser.Call); ok {
				call = c.Func.Name
			}
		}
		if change := call == "rate" || call == "increase" || call == "absent"; change != counts {
			t.Errorf("%s: got %s under %q, want counters under rate, increase or absent, gauges under none", where, v.Name, call)
		}
		names = append(names, v.Name)
		return nil
	})
	return names
}

func TestQueries(t *testing.T) {
	queries, err := dashboard.Queries()
	if err != nil {
		t.Fatal(err)
	}
	shown := map[string]bool{}
	for _, q := range queries {
		for _, name := range selected(t, q.Panel, q.With("3h", "1m")) {
			shown[name] = true
		}
		if strings.Contains(q.With("3h", "1m"), "$") {
			t.Errorf("%s: got an unknown variable in %s", q.Panel, q.Expr)
		}
	}
	for name := range metrics {
		if !shown[name] {
			t.Errorf("the dashboard does not show %s, want it on a panel", name)
		}
	}
}

// runbooks is where each alert's runbook_url leads, with the alert's name in small letters.
const runbooks = "https://github.com/weir-mesh/weir/blob/main/docs/operating.md#"

func TestAlerts(t *testing.T) {
	operating, err := os.ReadFile("../../../docs/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	// What `promtool check rules` does.
	groups, errs := rulefmt.Parse(dashboard.Alerts, false, model.UTF8Validation)
	for _, err := range errs {
		t.Error(err)
	}
	if t.Failed() {
		t.FailNow()
	}
	var parsed, read []string
	for _, group := range groups.Groups {
		for _, r := range group.Rules {
			parsed = append(parsed, r.Alert+": "+r.Expr)
			by := strings.Join(selected(t, r.Alert, r.Expr), " ")
			if by == "" {
				t.Errorf("%s: got no metric, want one", r.Alert)
			}
			if !strings.HasPrefix(r.Alert, "Weir") || r.Record != "" {
				t.Errorf("%s%s: want alerts, named Weir…", r.Alert, r.Record)
			}
			if s := r.Labels["severity"]; s != "page" && s != "ticket" && s != "info" {
				t.Errorf("%s: got severity %q, want page, ticket or info", r.Alert, s)
			}
			if section := "\n## " + r.Alert + "\n"; !strings.Contains(string(operating), section) {
				t.Errorf("%s: docs/operating.md has no section of that name", r.Alert)
			}
			if want := runbooks + strings.ToLower(r.Alert); r.Annotations["runbook_url"] != want {
				t.Errorf("%s: got runbook_url %q, want %q", r.Alert, r.Annotations["runbook_url"], want)
			}
			for _, text := range []string{"summary", "description", "runbook"} {
				if len(r.Annotations[text]) < 20 {
					t.Errorf("%s: got as %s %q, want 20 characters or more", r.Alert, text, r.Annotations[text])
				}
			}
			if r.Alert != "WeirMissing" && !strings.Contains(r.Annotations["summary"], "{{ $labels.") {
				t.Errorf("%s: got a summary without labels, want it to say where", r.Alert)
			}
		}
	}
	rules, err := dashboard.Rules()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rules {
		read = append(read, r.Alert+": "+r.Expr)
	}
	if diff := cmp.Diff(parsed, read); diff != "" {
		t.Errorf("Rules differs from Prometheus's reading (-Prometheus +Rules): %s", diff)
	}
	if slices.Sort(parsed); len(slices.Compact(parsed)) != len(rules) {
		t.Error("got an alert twice, want each once")
	}
}
