package render

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/weir-mesh/weir/envoy/policyfile"
	"github.com/weir-mesh/weir/envoy/render/rendertest"
)

var update = flag.Bool("update", false, "rewrite the files in testdata")

// everything has a policy that uses all that is rendered outside of the filter, and every option.
func everything(t *testing.T) Options {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", "everything.policy.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	asJSON, err := policyfile.JSON(raw)
	if err != nil {
		t.Fatal(err)
	}
	return Options{
		Policy: asJSON,
		Upstreams: []Upstream{
			{Name: "primary", Host: "10.0.0.1", Port: 80},
			{Name: "second", Host: "second.example.com", Port: 80, HTTP2: true, HealthPath: "/healthz"},
			{Name: "third", Host: "10.0.0.3", Port: 80, Others: []Host{{"10.0.0.4", 80}, {"third.example.com", 80}}},
			{Name: "public", Host: "api.example.com", Port: 443, TLS: &TLS{}, LogicalDNS: true},
			{Name: "private", Host: "10.0.0.5", Port: 8443, TLS: &TLS{Name: "private.example.com", CA: "ca.pem"}},
		},
		Admin: "9902",
		LDS:   ListenersPath("everything.yaml"),
	}
}

func TestFiles(t *testing.T) {
	files, err := Files(everything(t), "everything.yaml")
	if err != nil {
		t.Fatal(err)
	}
	type shape struct {
		Path    string
		Watched bool
	}
	var shapes []shape
	for _, got := range files {
		shapes = append(shapes, shape{got.Path, got.Watched})
		rendertest.Golden(t, filepath.Join("testdata", got.Path), got.Content, *update)
	}
	want := []shape{{"everything.lds.yaml", true}, {"everything.ecds.yaml", true}, {"everything.yaml", false}}
	if diff := cmp.Diff(want, shapes); diff != "" {
		t.Error(diff)
	}
}

func TestReplace(t *testing.T) {
	f := File{Path: filepath.Join(t.TempDir(), "f.yaml"), Content: []byte("new")}
	if f.UpToDate() {
		t.Error("got UpToDate before the file was written")
	}
	if err := os.WriteFile(f.Path, []byte("old, and longer"), 0o600); err != nil {
		t.Fatal(err)
	}
	if f.UpToDate() {
		t.Error("got UpToDate with other content")
	}
	if err := f.Replace(); err != nil {
		t.Fatal(err)
	}
	if !f.UpToDate() {
		t.Error("got not UpToDate after the file was written")
	}
	f.Path = filepath.Join(t.TempDir(), "gone", "f.yaml")
	if err := f.Replace(); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "there is no folder "+filepath.Dir(f.Path)) {
		t.Errorf("in no directory: got %v, want the folder that is not there", err)
	}
}

// An existing file, which may hold a token, keeps its mode; a new file has mode 0644 less the umask.
func TestReplaceKeepsTheMode(t *testing.T) {
	before := syscall.Umask(0o027)
	defer syscall.Umask(before)
	f := File{Path: filepath.Join(t.TempDir(), "f.yaml"), Content: []byte("new")}
	for _, mode := range []os.FileMode{0o640, 0o600, 0o664} {
		if mode != 0o640 { // the first file is new
			if err := os.Chmod(f.Path, mode); err != nil {
				t.Fatal(err)
			}
		}
		if err := f.Replace(); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(f.Path)
		if err != nil || info.Mode().Perm() != mode || !f.UpToDate() {
			t.Errorf("got mode %v, %v, want %v", info.Mode(), err, mode)
		}
	}
}

// A Replace that fails leaves no file behind.
func TestReplaceLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	f := File{Path: filepath.Join(dir, "d"), Content: []byte("new")}
	if err := os.MkdirAll(filepath.Join(f.Path, "full"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := f.Replace(); err == nil {
		t.Error("got no error for a path that is a directory")
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 {
		t.Errorf("got files %v, %v, want only the directory", left, err)
	}
}

// A path with a line break would end the comment that it is part of, and continue as YAML.
func TestPathsInComments(t *testing.T) {
	for _, path := range []string{"a\nadmin: b.yaml", "a\r.yaml", "a\xff.yaml", "a\u0085.yaml"} {
		if files, err := Files(everything(t), path); err == nil || !strings.Contains(err.Error(), "control character") {
			t.Errorf("%q: got %d files and %v, want an error about the control character", path, len(files), err)
		}
	}
}
