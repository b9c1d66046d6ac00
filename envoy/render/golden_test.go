package render

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/weir-mesh/weir/envoy/policyfile"
)

var update = flag.Bool("update", false, "rewrite the files in testdata")

// everything is a policy that asks for all that is rendered outside of the filter, around it every option.
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
			{Name: "third", Host: "10.0.0.3", Port: 80},
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
		golden := File{Path: filepath.Join("testdata", got.Path), Content: got.Content}
		if *update {
			if err := golden.Replace(); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden.Path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(want, got.Content) {
			t.Errorf("%s; go test ./envoy/render -update rewrites it: %s", golden.Path, cmp.Diff(string(want), string(got.Content)))
		}
	}
	want := []shape{{"everything.lds.yaml", true}, {"everything.ecds.yaml", true}, {"everything.yaml", false}}
	if diff := cmp.Diff(want, shapes); diff != "" {
		t.Error(diff)
	}
}

func TestReplace(t *testing.T) {
	f := File{Path: filepath.Join(t.TempDir(), "f.yaml"), Content: []byte("new")}
	if f.Stands() {
		t.Error("stands before it was written")
	}
	if err := os.WriteFile(f.Path, []byte("old, and longer"), 0o600); err != nil {
		t.Fatal(err)
	}
	if f.Stands() {
		t.Error("stands with other content")
	}
	if err := f.Replace(); err != nil {
		t.Fatal(err)
	}
	if !f.Stands() {
		t.Error("does not stand after it was written")
	}
	f.Path = filepath.Join(t.TempDir(), "gone", "f.yaml")
	if err := f.Replace(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("in no directory: got %v", err)
	}
}
