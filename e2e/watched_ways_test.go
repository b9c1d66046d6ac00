package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weir-mesh/weir/e2e/engine"
	"github.com/weir-mesh/weir/e2e/upstream"
	"github.com/weir-mesh/weir/envoy/render"
)

// TestWatchedFile: which ways of changing the watched file reload the policy. A ConfigMap's volume is a folder of links: the file to
// `..data/weir.yaml`, `..data` to a folder with a time in its name. The kubelet makes a new folder and renames a new link over `..data`.
func TestWatchedFile(t *testing.T) {
	t.Parallel()
	link := func(t *testing.T, to, at string) {
		t.Helper()
		if err := os.Symlink(to, at); err != nil {
			t.Fatal(err)
		}
	}
	write := func(t *testing.T, file string, content []byte) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, way := range []struct {
		name    string
		mount   func(t *testing.T, dir string, content []byte)
		change  func(t *testing.T, dir string, n int, content []byte)
		reloads bool
	}{
		{
			"renamed over", func(t *testing.T, dir string, content []byte) { write(t, filepath.Join(dir, "weir.yaml"), content) },
			func(t *testing.T, dir string, _ int, content []byte) {
				next := filepath.Join(t.TempDir(), "next")
				write(t, next, content)
				if err := os.Rename(next, filepath.Join(dir, "weir.yaml")); err != nil {
					t.Fatal(err)
				}
			}, true,
		},
		{
			"a ConfigMap", func(t *testing.T, dir string, content []byte) {
				write(t, filepath.Join(dir, "..2026_0", "weir.yaml"), content)
				link(t, "..2026_0", filepath.Join(dir, "..data"))
				link(t, filepath.Join("..data", "weir.yaml"), filepath.Join(dir, "weir.yaml"))
			},
			func(t *testing.T, dir string, n int, content []byte) {
				folder := fmt.Sprintf("..2026_%d", n)
				write(t, filepath.Join(dir, folder, "weir.yaml"), content)
				link(t, folder, filepath.Join(dir, "..data_tmp"))
				if err := os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")); err != nil {
					t.Fatal(err)
				}
			}, true,
		},
		{
			"in place", func(t *testing.T, dir string, content []byte) { write(t, filepath.Join(dir, "weir.yaml"), content) },
			func(t *testing.T, dir string, _ int, content []byte) {
				write(t, filepath.Join(dir, "weir.yaml"), content)
			}, false,
		},
	} {
		t.Run(way.name, func(t *testing.T) {
			t.Parallel()
			const policy = "clusters: {aws: {rate_limit: {requests: %d, window_size: 3600s}}}"
			dir := filepath.Join(engine.Dir(t), "watched")
			up := map[string]*upstream.Upstream{"aws": upstream.New(t)}
			w := &watched{upstreams: up, file: filepath.Join(dir, "weir.yaml")}
			way.mount(t, dir, w.content(t, fmt.Sprintf(policy, 10)))
			o := options(t, fmt.Sprintf(policy, 10), up)
			o.ECDS = w.file
			withAdmin(&o)
			bootstrap, err := render.Bootstrap(o)
			if err != nil {
				t.Fatal(err)
			}
			e := engine.Start(t, engine.Config{Bootstrap: bootstrap, Dir: filepath.Dir(dir)})
			w.weir = &weir{Envoy: e, t: t, url: e.URL()}
			w.get("aws", "/")
			reloads := func() float64 {
				for name, n := range w.Stats() {
					if strings.Contains(name, "extension_config_discovery.http_filter.") && strings.HasSuffix(name, ".config_reload") {
						return n
					}
				}
				t.Fatal("no stat config_reload")
				return 0
			}
			before := reloads()
			for n := 1; n <= 2; n++ {
				requests := 600 * n
				way.change(t, dir, n, w.content(t, fmt.Sprintf(policy, requests)))
				if !way.reloads {
					continue
				}
				w.console().waitStatus("aws", map[string]any{"rate_limit.configured_requests_per_minute": float64(requests) / 60})
			}
			if way.reloads {
				return
			}
			// Envoy would have read the file within milliseconds. A rename shows that it still watches, and reads what was written.
			time.Sleep(time.Second)
			if now := reloads(); now != before {
				t.Errorf("got %v reloads, want none: then getting-started.md is wrong", now-before)
			}
			if err := os.Rename(w.file, w.file+".moved"); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(w.file+".moved", w.file); err != nil {
				t.Fatal(err)
			}
			w.console().waitStatus("aws", map[string]any{"rate_limit.configured_requests_per_minute": 20})
		})
	}
}
