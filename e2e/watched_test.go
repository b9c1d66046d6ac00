package e2e

import (
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/weir-mesh/weir/e2e/engine"
	"github.com/weir-mesh/weir/e2e/upstream"
	"github.com/weir-mesh/weir/envoy/render"
)

// watched is an Envoy whose policy is in a watched file, as `weir render envoy -o` writes it.
type watched struct {
	*weir
	upstreams map[string]*upstream.Upstream
	file      string
}

func startWatched(t *testing.T, policy string, upstreams map[string]*upstream.Upstream, changes ...func(*render.Options)) *watched {
	t.Helper()
	dir := engine.Dir(t)
	w := &watched{upstreams: upstreams, file: filepath.Join(dir, "weir.yaml")}
	o := options(t, policy, upstreams)
	o.ECDS = w.file
	for _, change := range changes {
		change(&o)
	}
	bootstrap, err := render.Bootstrap(o)
	if err != nil {
		t.Fatal(err)
	}
	e := engine.Start(t, engine.Config{
		Bootstrap: bootstrap, Dir: dir,
		Files: map[string][]byte{filepath.Base(w.file): w.content(t, policy)},
	})
	w.weir = &weir{Envoy: e, t: t, url: e.URL()}
	return w
}

// in is the same Envoy in a test of t.
func (w *watched) in(t *testing.T) *watched {
	return &watched{weir: w.weir.in(t), upstreams: w.upstreams, file: w.file}
}

func (w *watched) content(t *testing.T, policy string) []byte {
	t.Helper()
	o := options(t, policy, w.upstreams)
	o.ECDS = w.file
	response, err := render.ECDS(o)
	return asFile(t, response, err)
}

// asFile is what a renderer returned, as Envoy reads it from a file.
func asFile(t *testing.T, response proto.Message, err error) []byte {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	content, err := render.YAML(response)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// replace replaces the policy by rename and waits until Envoy reports the result: config_reload or
// config_fail.
func (w *watched) replace(policy, becomes string) {
	w.t.Helper()
	statistic := ""
	for name := range w.Stats() {
		if strings.Contains(name, "extension_config_discovery.http_filter.") && strings.HasSuffix(name, "."+becomes) {
			statistic = name
		}
	}
	before := w.Stats()[statistic]
	w.ReplaceFile(w.file, w.content(w.t, policy))
	w.WaitStat(statistic, engine.AtLeast(before+1))
}
