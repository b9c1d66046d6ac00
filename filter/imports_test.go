//go:build !wasm

package main

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/weir-mesh/weir/"

// inner is the order of the packages under filter/internal: each imports only packages above it.
var inner = []string{
	"host/pairs", "host", "shareddata", "bufpool", "key", "outcome",
	"stage", "stage/breaker", "stage/bulkhead", "stage/limit", "stage/budget",
	"retries", "fallbackcache", "worker", "mesh", "localreply", "replay", "request", "publish",
	"admin/page", "admin", "observe", "plugin",
}

// outside is what the packages of a top folder may import of other top folders.
var outside = map[string][]string{
	"policy":      nil,
	"sharedstate": {"policy"},
	"filter":      {"policy", "sharedstate"},
	"envoy":       {"policy", "filter/metric", "filter/adminapi", "filter/version"},
}

// knowsHost is the packages that may import the host's package; all others can be tested without a proxy.
var knowsHost = []string{"filter", "filter/postlink", "filter/internal/shareddata", "filter/internal/observe", "filter/internal/plugin"}

// TestImportsGoOneWay holds docs/architecture.md to its drawing.
func TestImportsGoOneWay(t *testing.T) {
	for path, imports := range packages(t) {
		folder, _, _ := strings.Cut(path, "/")
		for _, imported := range imports {
			if to, _, _ := strings.Cut(imported, "/"); to != folder && !within(imported, outside[folder]) {
				t.Errorf("%s imports %s: packages of %s may import only %v of other folders", path, imported, folder, outside[folder])
			}
			if imported == "filter/internal/host" && !slices.Contains(knowsHost, path) &&
				!strings.HasPrefix(path, "filter/internal/testmodules/") {
				t.Errorf("%s imports %s: only %v may", path, imported, knowsHost)
			}
		}
		name, ok := strings.CutPrefix(path, "filter/internal/")
		if !ok || strings.HasPrefix(name, "testmodules/") || name == "requesttest" {
			continue
		}
		at := slices.Index(inner, name)
		if at < 0 {
			t.Errorf("%s is not in the order of packages, add it to `inner`", path)
			continue
		}
		for _, imported := range imports {
			if other, ok := strings.CutPrefix(imported, "filter/internal/"); ok && slices.Index(inner, other) >= at {
				t.Errorf("%s imports %s, which comes after it in `inner`", path, imported)
			}
		}
	}
}

// within reports whether a package is one of these or below one.
func within(path string, allowed []string) bool {
	return slices.ContainsFunc(allowed, func(a string) bool { return path == a || strings.HasPrefix(path, a+"/") })
}

// packages is the module's packages and what of the module they import, without tests, as the Wasm build sees them.
func packages(t *testing.T) map[string][]string {
	t.Helper()
	list := exec.Command("go", "list", "-json=ImportPath,Imports", module+"...")
	out, err := list.Output()
	if err != nil {
		t.Fatalf("%s: %v", list, err)
	}
	found := map[string][]string{}
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		path := strings.TrimPrefix(p.ImportPath, module)
		found[path] = nil
		for _, i := range p.Imports {
			if of, ok := strings.CutPrefix(i, module); ok {
				found[path] = append(found[path], of)
			}
		}
	}
	if len(found) < len(inner) {
		t.Fatalf("got %d packages, want at least %d", len(found), len(inner))
	}
	return found
}
