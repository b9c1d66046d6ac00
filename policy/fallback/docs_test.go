package fallback

import (
	"os"
	"strings"
	"testing"
)

// TestDocsListTheObstacles: the table in docs/cache.md has each reason.
func TestDocsListTheObstacles(t *testing.T) {
	page, err := os.ReadFile("../../docs/cache.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "## Why an answer was not kept, or not used")
	section, _, _ = strings.Cut(section, "\n## ")
	for o := NoObstacle + 1; o < Obstacles; o++ {
		if !strings.Contains(section, "`"+o.String()+"`") {
			t.Errorf("docs/cache.md: got no reason `%v` in the table, want all of them", o)
		}
	}
}
