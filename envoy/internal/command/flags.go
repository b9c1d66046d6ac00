package command

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/weir-mesh/weir/envoy/render"
)

// environmentFlag is a flag of NAME=VALUE that may be repeated.
type environmentFlag map[string]string

func (f environmentFlag) Set(s string) error {
	name, value, found := strings.Cut(s, "=")
	if !found || name == "" {
		return fmt.Errorf("want NAME=VALUE, got %q", s)
	}
	f[name] = value
	return nil
}

func (f environmentFlag) String() string {
	var pairs []string
	for name, value := range f {
		pairs = append(pairs, name+"="+value)
	}
	slices.Sort(pairs)
	return strings.Join(pairs, ",")
}

// Type is what `--help` shows for the value.
func (environmentFlag) Type() string { return "NAME=VALUE" }

// upstreamsFlag is a flag of NAME=HOST:PORT that may be repeated.
type upstreamsFlag []render.Upstream

func (f *upstreamsFlag) Set(s string) error {
	u, err := render.ParseUpstream(s)
	if err != nil {
		return err
	}
	*f = append(*f, u)
	return nil
}

func (f *upstreamsFlag) String() string {
	var names []string
	for _, u := range *f {
		names = append(names, u.Name)
	}
	return strings.Join(names, ",")
}

// Type is what `--help` shows for the value.
func (*upstreamsFlag) Type() string { return "NAME=HOST:PORT" }

// healthPathsFlag is a flag of NAME=PATH, or PATH for all other upstreams, that may be repeated.
type healthPathsFlag map[string]string

// allOthers is the key of a PATH without a name; no upstream has an empty name.
const allOthers = ""

func (f healthPathsFlag) Set(s string) error {
	name, path := allOthers, s
	if !strings.HasPrefix(s, "/") { // a name has no slash, and a path may contain =
		name, path, _ = strings.Cut(s, "=")
	}
	if !strings.HasPrefix(path, "/") {
		return fmt.Errorf("want [NAME=]PATH with a path that begins with /, got %q", s)
	}
	f[name] = path
	return nil
}

func (f healthPathsFlag) String() string { return environmentFlag(f).String() }

// Type is what `--help` shows for the value.
func (healthPathsFlag) Type() string { return "[NAME=]PATH" }

// apply sets the HealthPath of each upstream.
func (f healthPathsFlag) apply(upstreams []render.Upstream) error {
	for name := range f {
		named := func(u render.Upstream) bool { return u.Name == name }
		if name != allOthers && !slices.ContainsFunc(upstreams, named) {
			return fmt.Errorf("--health-path %s=%s: no upstream has the name %s", name, f[name], name)
		}
	}
	for i := range upstreams {
		path, ok := f[upstreams[i].Name]
		if !ok {
			path = f[allOthers]
		}
		upstreams[i].HealthPath = path
	}
	return nil
}

// choiceFlag is a flag that takes one of some words.
type choiceFlag[T comparable] struct {
	value *T
	name  string
	words map[string]T
}

func choice[T comparable](value *T, name string, words map[string]T) *choiceFlag[T] {
	return &choiceFlag[T]{value, name, words}
}

func (f *choiceFlag[T]) Set(s string) error {
	v, ok := f.words[s]
	if !ok {
		return fmt.Errorf("want one of %s, got %q", strings.Join(slices.Sorted(maps.Keys(f.words)), ", "), s)
	}
	*f.value = v
	return nil
}

func (f *choiceFlag[T]) String() string {
	if f.value == nil { // a flag's zero value, which pflag makes
		return ""
	}
	for word, v := range f.words {
		if v == *f.value {
			return word
		}
	}
	return ""
}

// Type is what `--help` shows for the value.
func (f *choiceFlag[T]) Type() string { return f.name }

// parsedFlag is a flag that may be repeated and whose values are read by a function.
type parsedFlag[T any] struct {
	values  *[]T
	name    string
	parse   func(string) (T, error)
	written []string
}

func listFlag[T any](values *[]T, name string, parse func(string) (T, error)) *parsedFlag[T] {
	return &parsedFlag[T]{values: values, name: name, parse: parse}
}

func (f *parsedFlag[T]) Set(s string) error {
	v, err := f.parse(s)
	if err != nil {
		return err
	}
	*f.values, f.written = append(*f.values, v), append(f.written, s)
	return nil
}

func (f *parsedFlag[T]) String() string { return strings.Join(f.written, ",") }

// Type is what `--help` shows for the value.
func (f *parsedFlag[T]) Type() string { return f.name }
