package dashboard

import (
	"encoding/json"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Query is one expression of the dashboard.
type Query struct {
	Panel string // its title; of an annotation its name
	Expr  string // PromQL, with Grafana's variables in it
}

// With replaces Grafana's variables as it would with all clusters and Envoys chosen, over a span of time, with an
// interval for rates; both as PromQL writes durations.
func (q Query) With(span, rate string) string {
	return strings.NewReplacer("$cluster", ".*", "$instance", ".*", "$__range", span, "$__rate_interval", rate).Replace(q.Expr)
}

// Queries are all expressions of the dashboard.
func Queries() ([]Query, error) {
	var d struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
		Annotations struct {
			List []struct{ Name, Expr string }
		}
	}
	if err := json.Unmarshal(Grafana, &d); err != nil {
		return nil, err
	}
	var all []Query
	for _, p := range d.Panels {
		for _, t := range p.Targets {
			all = append(all, Query{p.Title, t.Expr})
		}
	}
	for _, a := range d.Annotations.List {
		all = append(all, Query{a.Name, a.Expr})
	}
	return all, nil
}

// Rule is one alert.
type Rule struct {
	Alert       string
	Expr        string
	For         string
	Labels      map[string]string
	Annotations map[string]string
}

// Rules are all alerts.
func Rules() ([]Rule, error) {
	var file struct {
		Groups []struct {
			Rules []Rule
		}
	}
	if err := yaml.Unmarshal(Alerts, &file); err != nil {
		return nil, err
	}
	var all []Rule
	for _, g := range file.Groups {
		all = append(all, g.Rules...)
	}
	return all, nil
}
