package outcome

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// What docs/endings.md calls the kinds, the phases and the events.
var (
	kindNames = map[string]Kind{
		"the client": ByClient, "upstream's answer": ByUpstream, "this proxy": ByProxy, "no connection": Unreachable,
		"Envoy's limit": Overloaded, "a reset": Broken, "a waiting timer": WaitTimer, "an idle timer": IdleTimer,
		"a duration timer": DurationTimer, "an upload timer": UploadTimer,
	}
	phaseNames = []string{"begun", "sending", "brief", "whole", "stalled", "flowing", "unread", "upgraded"}
	eventNames = map[string][]Event{
		"by its status, gRPC status and time": {Answered}, "neither": {None, Local, Overflow, Interrupted},
		"reset": {Reset}, "timeout": {Timeout}, "connect_failure": {ConnectFailure},
	}
)

// TestDocsShowTheTable: each row of docs/endings.md equals what the code says, each end is there once, and each test that
// a row names is one.
func TestDocsShowTheTable(t *testing.T) {
	docs, tests := read(t, "../../../docs/endings.md"), read(t, "../../../e2e/endings_rows_test.go")
	details := 0
	for _, row := range table(docs, "| what ended it | response.code_details |") {
		kind, ok := kindNames[row[0]]
		if !ok {
			t.Errorf("docs/endings.md: %q is no kind of end", row[0])
		}
		for _, text := range quoted(row[1]) {
			details++
			// The text that stands for any may be empty, or a reason that is not listed.
			for _, rest := range []string{"", "x", "x|transport_text"} {
				if got := KindOf(strings.ReplaceAll(text, "…", rest)); got != kind {
					t.Errorf("docs/endings.md: %s: got kind %d, want %d, %s", text, got, kind, row[0])
				}
			}
		}
	}
	if details < 70 {
		t.Errorf("docs/endings.md: got %d details, want 70 or more", details)
	}
	var seen [kinds][phases]int
	named := map[string]bool{}
	for _, row := range table(docs, "| what ended it | phases |") {
		kind, ok := kindNames[row[0]]
		events := eventNames[row[2]]
		if !ok || events == nil {
			t.Errorf("docs/endings.md: %q is no kind of end, or %q no outcome", row[0], row[2])
			continue
		}
		for name := range strings.SplitSeq(row[1], ", ") {
			at := slices.Index(phaseNames, name)
			if at < 0 {
				t.Errorf("docs/endings.md: %q is no phase", name)
				continue
			}
			seen[kind][at]++
			if got := Of(kind, Phase(at)); !slices.Contains(events, got) {
				t.Errorf("docs/endings.md: %s, %s: got event %d, want %s", row[0], name, got, row[2])
			}
		}
		for _, test := range quoted(row[3]) {
			named[test] = true
		}
	}
	for kind := range seen {
		for at, times := range seen[kind] {
			if times != 1 {
				t.Errorf("docs/endings.md: kind %d, %s: it is there %d times, want once", kind, phaseNames[at], times)
			}
		}
	}
	further := table(docs, "| what ended the attempt | counts as |")
	for _, row := range table(docs, "| what failed after the deadline | upstream's time |") {
		further = append(further, row[1:])
	}
	for _, row := range further {
		for _, test := range quoted(row[2]) {
			if !strings.HasPrefix(test, "Test") { // those are in a file of their own
				named[test] = true
			}
		}
	}
	for _, match := range regexp.MustCompile(`name: "([^"]+)"`).FindAllStringSubmatch(tests, -1) {
		if !named[match[1]] {
			t.Errorf("docs/endings.md: test %s is in no row", match[1])
		}
		delete(named, match[1])
	}
	for test := range named {
		t.Errorf("docs/endings.md: %s is no test of e2e/endings_rows_test.go", test)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// table is the cells of a table's rows.
func table(text, header string) (rows [][]string) {
	_, text, _ = strings.Cut(text, header)
	lines := strings.Split(text, "\n")
	for _, line := range lines[min(2, len(lines)):] {
		if !strings.HasPrefix(line, "| ") {
			break
		}
		var cells []string
		for cell := range strings.SplitSeq(strings.Trim(line, "|"), "|") {
			cells = append(cells, strings.TrimSpace(cell))
		}
		rows = append(rows, cells)
	}
	return rows
}

// quoted is the texts in back-quotes.
func quoted(cell string) (texts []string) {
	for i, text := range strings.Split(cell, "`") {
		if i%2 == 1 {
			texts = append(texts, text)
		}
	}
	return texts
}
