package command

import (
	"fmt"
	"slices"
	"strings"

	"github.com/weir-mesh/weir/envoy/render"
)

// trustedFlag is a flag of NAME=FILE, or FILE for all other upstreams, that may be repeated.
type trustedFlag map[string]string

func (f trustedFlag) Set(s string) error {
	name, file, found := strings.Cut(s, "=")
	if !found || strings.Contains(name, "/") { // a path may contain =
		name, file = allOthers, s
	}
	if file == "" {
		return fmt.Errorf("want [NAME=]FILE, got %q", s)
	}
	f[name] = file
	return nil
}

func (f trustedFlag) String() string { return environmentFlag(f).String() }

// Type is what `--help` shows for the value.
func (trustedFlag) Type() string { return "[NAME=]FILE" }

// applyTLS sets what --tls-name, --ca and --logical-dns say.
func applyTLS(upstreams []render.Upstream, names environmentFlag, ca trustedFlag, logical []string) error {
	find := func(flag, name string) (*render.Upstream, error) {
		i := slices.IndexFunc(upstreams, func(u render.Upstream) bool { return u.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("%s: no upstream has the name %s", flag, name)
		}
		return &upstreams[i], nil
	}
	secure := func(flag, name string) (*render.TLS, error) {
		u, err := find(flag, name)
		if err == nil && u.TLS == nil {
			err = fmt.Errorf("%s: the upstream %s has no TLS: write --upstream %s=https://HOST", flag, name, name)
		}
		if err != nil {
			return nil, err
		}
		return u.TLS, nil
	}
	for name, host := range names {
		t, err := secure("--tls-name", name)
		if err != nil {
			return err
		}
		t.Name = host
	}
	for i := range upstreams {
		if upstreams[i].TLS != nil {
			upstreams[i].TLS.CA = ca[allOthers]
		}
	}
	for name, file := range ca {
		if name == allOthers {
			continue
		}
		t, err := secure("--ca", name)
		if err != nil {
			return err
		}
		t.CA = file
	}
	for _, name := range logical {
		u, err := find("--logical-dns", name)
		if err != nil {
			return err
		}
		u.LogicalDNS = true
	}
	return nil
}
