package dashboard

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// grafana is what this test looks at of the dashboard's JSON model:
// https://grafana.com/docs/grafana/latest/visualizations/dashboards/build-dashboards/view-dashboard-json-model/
type grafana struct {
	Title, UID    string
	SchemaVersion int
	Templating    struct {
		List []struct {
			Name, Type, Label string
			Multi             bool
			IncludeAll        bool
			Query             any
			Datasource        *source
		}
	}
	Panels []panel
}

type source struct{ Type, UID string }

type panel struct {
	ID                       int
	Type, Title, Description string
	Datasource               *source
	GridPos                  struct{ H, W, X, Y int }
	FieldConfig              struct{ Defaults struct{ Unit string } }
	Options                  struct{ Content string }
	Targets                  []struct {
		RefID, LegendFormat string
		Datasource          *source
	}
}

func TestGrafana(t *testing.T) {
	var d grafana
	if err := json.Unmarshal(Grafana, &d); err != nil {
		t.Fatal(err)
	}
	if d.Title != "Weir" || d.UID == "" || d.SchemaVersion < 39 {
		t.Errorf("got title %q, uid %q, schema %d, want Weir, some uid, 39 or later", d.Title, d.UID, d.SchemaVersion)
	}
	variables := map[string]string{}
	for _, v := range d.Templating.List {
		variables[v.Name] = v.Type
		if v.Type == "query" && (!v.Multi || !v.IncludeAll || v.Datasource == nil || v.Datasource.UID != "${datasource}") {
			t.Errorf("variable %s: got %+v, want multi, include-all and the chosen data source", v.Name, v)
		}
	}
	if want := map[string]string{"datasource": "datasource", "cluster": "query", "instance": "query"}; !cmp.Equal(variables, want) {
		t.Errorf("variables %v, want %v", variables, want)
	}
	ids := map[int]bool{}
	for i, p := range d.Panels {
		if ids[p.ID] || p.ID == 0 {
			t.Errorf("%s: got id %d, want one of its own", p.Title, p.ID)
		}
		ids[p.ID] = true
		if p.GridPos.X < 0 || p.GridPos.W < 1 || p.GridPos.H < 1 || p.GridPos.X+p.GridPos.W > 24 {
			t.Errorf("%s: got %+v, want a place on the grid", p.Title, p.GridPos)
		}
		for _, q := range d.Panels[:i] {
			a, b := p.GridPos, q.GridPos
			if a.X < b.X+b.W && b.X < a.X+a.W && a.Y < b.Y+b.H && b.Y < a.Y+a.H {
				t.Errorf("%s covers %s, want no overlap", p.Title, q.Title)
			}
		}
		if p.Type == "row" {
			continue
		}
		if p.Type == "text" {
			if p.Description == "" || p.Options.Content == "" || len(p.Targets) > 0 {
				t.Errorf("%s: got %+v, want a description and a text", p.Title, p)
			}
			continue
		}
		if p.Description == "" || p.FieldConfig.Defaults.Unit == "" || len(p.Targets) == 0 || p.Datasource == nil || p.Datasource.UID != "${datasource}" {
			t.Errorf("%s: got %+v, want a description, a unit, targets and the chosen data source", p.Title, p)
		}
		refs := map[string]bool{}
		for _, target := range p.Targets {
			if target.LegendFormat == "" || target.Datasource == nil || target.Datasource.UID != "${datasource}" || refs[target.RefID] {
				t.Errorf("%s: got %+v, want a legend, a refId of its own and the chosen data source", p.Title, target)
			}
			refs[target.RefID] = true
		}
	}
}
