package repo

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRootIsTheProductsModule(t *testing.T) {
	root, err := Root()
	if err != nil {
		t.Fatal(err)
	}
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	if want := filepath.Join(root, "e2e", "repo"); here != want {
		t.Errorf("got %s as the root seen from %s, want %s two folders below it", root, here, want)
	}
	t.Chdir(t.TempDir())
	if root, err := Root(); err == nil {
		t.Errorf("outside of the repository: got %s, want an error", root)
	}
}

func TestBuiltNamesTheTarget(t *testing.T) {
	_, err := Built("nothing", "wasm")
	if err == nil || !strings.Contains(err.Error(), "run `make wasm` first") {
		t.Errorf("got %v, want an error that names make wasm", err)
	}
}
