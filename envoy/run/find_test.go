package run

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFind(t *testing.T) {
	const wheelPath = ".cache/envoy-venv/lib/python3.11/site-packages/envoy/_bin/envoy"
	for name, test := range map[string]struct {
		executables []string // made under the root
		envoyBin    string   // ENVOY_BIN, under the root
		path        string   // PATH, under the root
		dir         string   // the working directory, under the root
		want        string   // under the root
		source      string
	}{
		"ENVOY_BIN before all":         {[]string{"a/envoy", "b/envoy", wheelPath}, "a/envoy", "b", ".", "a/envoy", "ENVOY_BIN"},
		"PATH before the wheel":        {[]string{"b/envoy", wheelPath}, "", "b", ".", "b/envoy", "PATH"},
		"the wheel":                    {[]string{wheelPath}, "", "b", ".", wheelPath, "the wheel in .cache/envoy-venv"},
		"the wheel from a sub-package": {[]string{wheelPath}, "", "b", "envoy/run", wheelPath, "the wheel in .cache/envoy-venv"},
		"the newest of two Pythons": {
			[]string{wheelPath, strings.Replace(wheelPath, "3.11", "3.13", 1)},
			"", "b", ".", strings.Replace(wheelPath, "3.11", "3.13", 1), "the wheel in .cache/envoy-venv",
		},
	} {
		t.Run(name, func(t *testing.T) {
			root := module(t, test.dir)
			for _, file := range test.executables {
				executable(t, filepath.Join(root, file))
			}
			t.Setenv("ENVOY_BIN", "")
			if test.envoyBin != "" {
				t.Setenv("ENVOY_BIN", filepath.Join(root, test.envoyBin))
			}
			t.Setenv("PATH", filepath.Join(root, test.path))
			got, err := Find()
			want := Binary{Path: filepath.Join(root, test.want), Source: test.source}
			if err != nil || got != want {
				t.Errorf("got %+v and %v, want %+v", got, err, want)
			}
		})
	}
}

func TestFindNothing(t *testing.T) {
	root := module(t, "envoy")
	t.Setenv("PATH", root)
	t.Setenv("ENVOY_BIN", "")
	if got, err := Find(); !errors.Is(err, ErrNoEnvoy) {
		t.Errorf("got %+v and %v, want ErrNoEnvoy", got, err)
	}
	t.Setenv("ENVOY_BIN", filepath.Join(root, "missing"))
	if got, err := Find(); err == nil || !strings.Contains(err.Error(), "ENVOY_BIN") {
		t.Errorf("got %+v and %v, want an error that names ENVOY_BIN", got, err)
	}
}

// module makes an empty module with a directory in it, and works there.
func module(t *testing.T, dir string) string {
	t.Helper()
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "go.mod"), []byte("module m\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(root, dir), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Chdir(filepath.Join(root, dir))
	return root
}

func executable(t *testing.T, path string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"), 0o700); err != nil { //nolint:gosec // it is to be executable
		t.Fatal(err)
	}
}
