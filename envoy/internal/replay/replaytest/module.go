// Package replaytest finds the compiled filter for tests that replay.
package replaytest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// Module is the path of the filter: WEIR_MODULE, which `make unit` sets, or what make has built, or a build by official Go.
func Module(t testing.TB) string {
	t.Helper()
	file, err := module()
	if err != nil {
		t.Fatal(err)
	}
	return file
}

var module = sync.OnceValues(func() (string, error) {
	if file := os.Getenv("WEIR_MODULE"); file != "" {
		return file, nil
	}
	said, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return "", fmt.Errorf("go list -m: %w", err)
	}
	root := strings.TrimSpace(string(said))
	for _, name := range []string{"weir.wasm", "weir-go.wasm"} {
		file := filepath.Join(root, "build", name)
		if _, err := os.Stat(file); err == nil || !errors.Is(err, fs.ErrNotExist) {
			return file, err
		}
	}
	dir, err := os.MkdirTemp("", "weir-replay") // as long as the machine keeps it: the tests of this process share it
	if err != nil {
		return "", err
	}
	file := filepath.Join(dir, "weir.wasm")
	build := exec.Command("go", "build", "-buildmode=c-shared", "-tags=abi021", "-o", file, "./filter")
	build.Dir, build.Env = root, append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0")
	if said, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, said)
	}
	return file, nil
})
