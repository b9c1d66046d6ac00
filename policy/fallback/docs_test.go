package fallback

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
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

// TestDocsNameTestsThatExist: each test that docs/cache.md names is in the repository.
func TestDocsNameTestsThatExist(t *testing.T) {
	const root = "../.."
	page, err := os.ReadFile(filepath.Join(root, "docs/cache.md"))
	if err != nil {
		t.Fatal(err)
	}
	exists := map[string]bool{}
	function := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && strings.HasPrefix(d.Name(), ".") && path != root:
			return fs.SkipDir
		case !strings.HasSuffix(path, "_test.go"):
			return nil
		}
		source, err := os.ReadFile(path)
		for _, found := range function.FindAllSubmatch(source, -1) {
			exists[string(found[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile(`\bTest[A-Z]\w*…?`).FindAllString(string(page), -1)
	if len(named) < 30 {
		t.Errorf("docs/cache.md: got %d names of tests, want at least 30", len(named))
	}
	for _, name := range named {
		if strings.HasSuffix(name, "…") { // all that begin so
			continue
		}
		if !exists[name] {
			t.Errorf("docs/cache.md names %s: got no such test in the repository", name)
		}
	}
}
