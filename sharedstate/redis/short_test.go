package redis

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write lua/short")

// TestShortScripts: what is sent to Redis is lua/ without comments and white space. After a change, -update writes lua/short.
func TestShortScripts(t *testing.T) {
	sources, err := filepath.Glob("lua/*.lua")
	if err != nil || len(sources) == 0 {
		t.Fatal(sources, err)
	}
	for _, source := range sources {
		text, err := os.ReadFile(source)
		if err != nil {
			t.Fatal(err)
		}
		want, shipped := shorten(string(text)), filepath.Join("lua/short", filepath.Base(source))
		if *update {
			if err := os.WriteFile(shipped, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := os.ReadFile(shipped); err != nil || !bytes.Equal(got, []byte(want)) {
			t.Errorf("%s is not the short form of %s (%v); go test ./sharedstate/redis -run TestShortScripts -update, then sha.go", shipped, source, err)
		}
	}
	if all, err := filepath.Glob("lua/short/*"); err != nil || len(all) != len(sources) {
		t.Errorf("lua/short has %d files, lua has %d scripts (%v)", len(all), len(sources), err)
	}
}

// shorten removes comments, indentation, empty lines, and spaces that separate nothing. The scripts have neither long strings, nor
// strings in double quotes, nor a string with two dashes, which TestShorten would find.
func shorten(source string) string {
	var b strings.Builder
	for line := range strings.Lines(source) {
		code, _, _ := strings.Cut(line, "--")
		if code = strings.TrimSpace(code); code == "" {
			continue
		}
		for i, part := range strings.Split(code, "'") {
			if i%2 == 1 { // a string
				b.WriteString("'" + part + "'")
				continue
			}
			b.WriteString(separators.ReplaceAllString(part, "$1"))
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// separators are the signs that end a word by themselves. Not the point, which may belong to a number, nor the dash, of which two begin
// a comment.
var separators = regexp.MustCompile(` *([=+*/%<>~(){},;]) *`)

func TestShorten(t *testing.T) {
	const source = "-- All.\nlocal a, b = 1, x .. ' = ' .. y -- one\n\n  if (a == - 1) then\n\treturn {f(a), ' , '}\n  end\n"
	if got, want := shorten(source), "local a,b=1,x .. ' = ' .. y\nif(a==- 1)then\nreturn{f(a),' , '}\nend\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	for _, s := range scripts {
		for line := range strings.Lines(s.Source()) {
			if strings.Contains(line, "[[") || strings.Count(line, "'")%2 != 0 || strings.Contains(line, `"`) {
				t.Errorf("%s: %q: a string may be cut, since it has two dashes or more than one line; shorten can't read it", s.name, line)
			}
		}
	}
}
