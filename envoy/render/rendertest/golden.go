package rendertest

import (
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Golden compares an output with its file, which it writes instead on update.
func Golden(t testing.TB, path string, got []byte, update bool) {
	t.Helper()
	if update {
		if err := os.WriteFile(path, got, 0o644); err != nil { //nolint:gosec // a file of the repository
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s differs (-want +got); go test -update in this folder rewrites it: %s", path, diff)
	}
}
