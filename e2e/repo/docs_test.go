package repo

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"
)

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#{1,6} (.+)$`)
	anchor  = regexp.MustCompile(`<a id="([^"]+)">`)
	inLinks = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)
	code    = regexp.MustCompile("(?ms)^ *```.*?^ *```$|`[^`\n]*`")
)

// TestLinksOfDocs: each link of a Markdown page to another file of the repository, or into a page, leads somewhere.
func TestLinksOfDocs(t *testing.T) {
	root, err := Root()
	if err != nil {
		t.Fatal(err)
	}
	pages := 0
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (strings.HasPrefix(d.Name(), ".") || d.Name() == "build" || d.Name() == "testdata"):
			return fs.SkipDir
		case filepath.Ext(path) != ".md":
			return nil
		}
		pages++
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, found := range link.FindAllStringSubmatch(code.ReplaceAllString(string(text), ""), -1) {
			if broken := follow(path, found[1]); broken != "" {
				t.Errorf("%s: link to %s: %s", path[len(root)+1:], found[1], broken)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if pages < 10 {
		t.Errorf("got %d pages, want all", pages)
	}
}

// follow says why a link leads nowhere, "" where it leads somewhere or out of the repository.
func follow(page, target string) (broken string) {
	if strings.Contains(target, "://") {
		return ""
	}
	file, part, _ := strings.Cut(target, "#")
	if file != "" {
		page = filepath.Join(filepath.Dir(page), file)
	}
	if _, err := os.Stat(page); err != nil {
		return "no such file"
	}
	if part == "" {
		return ""
	}
	text, err := os.ReadFile(page)
	if err != nil {
		return err.Error()
	}
	for _, found := range anchor.FindAllStringSubmatch(string(text), -1) {
		if found[1] == part {
			return ""
		}
	}
	for _, found := range heading.FindAllStringSubmatch(string(text), -1) {
		if slug(found[1]) == part {
			return ""
		}
	}
	return "no such heading"
}

// slug is the anchor that GitHub gives a heading: "Why an answer was not kept, or not used" has
// why-an-answer-was-not-kept-or-not-used.
func slug(title string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
			return unicode.ToLower(r)
		}
		return -1
	}, inLinks.ReplaceAllString(title, "$1"))
}

func TestSlug(t *testing.T) {
	for title, want := range map[string]string{
		"Metrics":                           "metrics",
		"In your own Envoy":                 "in-your-own-envoy",
		"What is kept, and for whom":        "what-is-kept-and-for-whom",
		"`driver: filter`":                  "driver-filter",
		"A [link](elsewhere.md) and weir_x": "a-link-and-weir_x",
	} {
		if got := slug(title); got != want {
			t.Errorf("slug(%q) = %q, want %q", title, got, want)
		}
	}
}

var (
	testName  = regexp.MustCompile(`\bTest[A-Z][A-Za-z0-9]*\b(…|/?)`)
	testFunc  = regexp.MustCompile(`(?m)^func (Test[A-Z][A-Za-z0-9]*)\(t \*testing\.T\)`)
	guarantee = regexp.MustCompile(`(?m)^- \*\*(.+?)\*\*`)
)

// TestTestsOfDocs: each test that a page names exists, and each promise of guarantees.md names at least one.
func TestTestsOfDocs(t *testing.T) {
	root, err := Root()
	if err != nil {
		t.Fatal(err)
	}
	exist, named, pages := map[string]bool{}, map[string][]string{}, 0
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (strings.HasPrefix(d.Name(), ".") || d.Name() == "build" || d.Name() == "testdata"):
			return fs.SkipDir
		case !strings.HasSuffix(path, "_test.go") && filepath.Ext(path) != ".md":
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if filepath.Ext(path) != ".md" {
			for _, found := range testFunc.FindAllStringSubmatch(string(text), -1) {
				exist[found[1]] = true
			}
			return nil
		}
		pages++
		for line := range strings.Lines(string(text)) {
			if strings.Contains(line, "-run '") { // a pattern of names
				continue
			}
			for _, found := range testName.FindAllStringSubmatch(line, -1) {
				if found[1] != "…" { // nor is TestCache… a name
					name := strings.TrimSuffix(found[0], "/")
					named[name] = append(named[name], path[len(root)+1:])
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, in := range named {
		if !exist[name] {
			t.Errorf("%s is named by %q, and is no test", name, in)
		}
	}
	if pages < 10 || len(named) < 50 {
		t.Errorf("got %d tests in %d pages, want all", len(named), pages)
	}
	promises, err := os.ReadFile(filepath.Join(root, "docs", "guarantees.md"))
	if err != nil {
		t.Fatal(err)
	}
	starts := guarantee.FindAllStringSubmatchIndex(string(promises), -1)
	for i, at := range starts {
		end := len(promises)
		if i+1 < len(starts) {
			end = starts[i+1][0]
		}
		if !testName.Match(promises[at[0]:end]) {
			t.Errorf("guarantees.md: %s: names no test", promises[at[2]:at[3]])
		}
	}
	if len(starts) < 10 {
		t.Errorf("got %d promises in guarantees.md, want all", len(starts))
	}
}
