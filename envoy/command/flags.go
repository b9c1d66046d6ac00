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
