package command

import (
	"fmt"
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

// everyOther is the upstream's name of a PATH alone; no upstream has an empty one.
const everyOther = ""

func (f healthPathsFlag) Set(s string) error {
	name, path := everyOther, s
	if !strings.HasPrefix(s, "/") { // no name begins with it, and a path may hold a =
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

// apply gives each upstream its path.
func (f healthPathsFlag) apply(upstreams []render.Upstream) error {
	for name := range f {
		named := func(u render.Upstream) bool { return u.Name == name }
		if name != everyOther && !slices.ContainsFunc(upstreams, named) {
			return fmt.Errorf("--health-path %s=%s: no upstream is named %s", name, f[name], name)
		}
	}
	for i := range upstreams {
		path, ok := f[upstreams[i].Name]
		if !ok {
			path = f[everyOther]
		}
		upstreams[i].HealthPath = path
	}
	return nil
}
