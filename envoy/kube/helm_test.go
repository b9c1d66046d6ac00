package kube_test

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"text/template"

	"sigs.k8s.io/yaml"

	"github.com/weir-mesh/weir/envoy/kube/charttest"
)

// functions are those of Helm that charts of ours use.
var functions = template.FuncMap{
	"quote":      strconv.Quote,
	"hasPrefix":  func(prefix, s string) bool { return strings.HasPrefix(s, prefix) },
	"trimPrefix": func(prefix, s string) string { return strings.TrimPrefix(s, prefix) },
	"fail":       func(text string) (string, error) { return "", errors.New(text) },
	"deepCopy":   deepCopy,
	"dict":       func(name string, v any) map[string]any { return map[string]any{name: v} },
	"merge":      merge,
	"dig":        dig,
	"hasKey":     func(in map[string]any, key string) bool { _, has := in[key]; return has },
	"set":        func(in map[string]any, key string, v any) map[string]any { in[key] = v; return in },
	"kindIs":     func(kind string, v any) bool { return v != nil && reflect.TypeOf(v).Kind().String() == kind },
	"toYaml": func(v any) (string, error) {
		text, err := yaml.Marshal(v)
		return strings.TrimSuffix(string(text), "\n"), err
	},
	"nindent": func(n int, text string) string {
		indent := "\n" + strings.Repeat(" ", n)
		return indent + strings.ReplaceAll(text, "\n", indent)
	},
}

func merge(into, from map[string]any) map[string]any {
	for key, value := range from {
		mine, both := into[key].(map[string]any)
		theirs, ok := value.(map[string]any)
		switch {
		case both && ok:
			into[key] = merge(maps.Clone(mine), theirs)
		case into[key] == nil:
			into[key] = value
		}
	}
	return into
}

func deepCopy(v map[string]any) map[string]any {
	all := maps.Clone(v)
	for key, value := range all {
		if inner, ok := value.(map[string]any); ok {
			all[key] = deepCopy(inner)
		}
	}
	return all
}

// dig is the value at a path in the last argument; the one before it is the value where there is none.
func dig(args ...any) any {
	path, otherwise := args[:len(args)-2], args[len(args)-2]
	at := args[len(args)-1]
	for _, name := range path {
		in, _ := at.(map[string]any)
		if at = in[name.(string)]; at == nil {
			return otherwise
		}
	}
	return at
}

// withoutNulls are values as Helm reads them: what is null is not there.
func withoutNulls(values map[string]any) map[string]any {
	for key, value := range values {
		switch value := value.(type) {
		case nil:
			delete(values, key)
		case map[string]any:
			withoutNulls(value)
		}
	}
	return values
}

// templates renders a chart by Go's templates, as Helm does.
func templates(dir string, values map[string]any) (map[string]string, error) {
	if values == nil {
		text, err := os.ReadFile(filepath.Join(dir, "values.yaml"))
		if err != nil {
			return nil, err
		}
		if err := yaml.Unmarshal(text, &values); err != nil {
			return nil, err
		}
	}
	files, err := filepath.Glob(filepath.Join(dir, "templates", "*"))
	if err != nil {
		return nil, err
	}
	texts := map[string]string{}
	for _, file := range files {
		parsed, err := template.New(filepath.Base(file)).Funcs(functions).Option("missingkey=error").ParseFiles(file)
		if err != nil {
			return nil, err
		}
		var text strings.Builder
		if err := parsed.Execute(&text, map[string]any{"Values": withoutNulls(values)}); err != nil {
			return nil, err
		}
		texts[file] = text.String()
	}
	return texts, nil
}

// TestCharts: e2e/istio has Helm itself render the same charts.
func TestCharts(t *testing.T) { charttest.Check(t, templates) }
