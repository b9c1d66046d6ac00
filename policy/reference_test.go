package policy

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestReference compares REFERENCE.md with the decoder: one row for each key, with its type, bounds and default.
func TestReference(t *testing.T) {
	text, err := os.ReadFile("REFERENCE.md")
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile("(?m)^\\| `([^`]+)` \\| ([^|]+) \\| ([^|]+) \\| ([^|]+) \\|$")
	var documented []Key
	for _, m := range row.FindAllStringSubmatch(string(text), -1) {
		documented = append(documented, Key{m[1], m[2], strings.Trim(m[3], "`")})
	}
	slices.SortStableFunc(documented, func(a, b Key) int { return comparePaths(a.Path, b.Path) })
	if diff := cmp.Diff(Keys(), documented); diff != "" {
		t.Errorf("REFERENCE.md: want by the decoder (-), got (+):\n%s", diff)
	}
}
