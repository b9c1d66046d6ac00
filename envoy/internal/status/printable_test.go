package status

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-mesh/weir/filter/adminapi"
)

func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"aws_pricing":      "aws_pricing",
		"Zürich 日本":        "Zürich 日本",
		"a\x1b[2Jb":        `a\x1b[2Jb`,
		"a\r\nb\x00\x7f":   `a\r\nb\x00\x7f`,
		"csi \u009b2J":     `csi \u009b2J`,
		"\x9b2J":           `\x9b2J`,
		"\u202egnp.exe":    `\u202egnp.exe`,
		"\u2028line":       `\u2028line`,
		"\ufffd is a sign": "\ufffd is a sign",
	} {
		if got := Printable(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestJSON(t *testing.T) {
	for in, want := range map[string]string{
		"{\"a\" :\r\n1e3, \"b\":[ ]} \n":      "{\"a\":1e3,\"b\":[]}\n",
		`{"` + "\u009b\u202e" + `":"\u001b"}`: `{"\u009b\u202e":"\u001b"}` + "\n",
		"\"\x9b\U000e0001\"":                  `"\ufffd\udb40\udc01"` + "\n",
	} {
		got, err := JSON([]byte(in), false)
		if err != nil || string(got) != want {
			t.Errorf("%q: got %q, %v, want %q", in, got, err, want)
		}
	}
	if got, err := JSON([]byte(`{"a":1}`), true); err != nil || string(got) != "{\n  \"a\": 1\n}\n" {
		t.Errorf("indented: got %q, %v, want %q", got, err, "{\n  \"a\": 1\n}\n")
	}
	if got, err := JSON([]byte(`{"a"`), true); err == nil {
		t.Errorf("half a document: got %q, want an error", got)
	}
}

// FuzzJSON: the output means the same as the input, and has no control characters.
func FuzzJSON(f *testing.F) {
	for _, s := range []string{`{"clusters":{"a":{}}}`, "[\"\x1b\"]", "\"\u009b\"", `"\ud800"`, " 1e400 \r", "\"\x9b\"", "{\"\U000e0001\":[[]]}"} {
		f.Add([]byte(s), true)
		f.Add([]byte(s), false)
	}
	f.Fuzz(func(t *testing.T, raw []byte, indented bool) {
		got, err := JSON(raw, indented)
		if (err == nil) != json.Valid(raw) {
			t.Fatalf("%q: got %v, want an error %v", raw, err, !json.Valid(raw))
		}
		if err != nil {
			return
		}
		if !utf8.Valid(got) || strings.ContainsFunc(string(got), func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }) {
			t.Fatalf("%q: got %q, want only printable characters", raw, got)
		}
		var before, after any
		if json.Unmarshal(raw, &before) != nil {
			return // a number that is too large for Go
		}
		if err := json.Unmarshal(got, &after); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(before, after); diff != "" {
			t.Fatalf("%q: %s", raw, diff)
		}
	})
}

// FuzzTable: no response makes the table panic or print control characters.
func FuzzTable(f *testing.F) {
	f.Add([]byte(`{"time":"2026-11-24T10:00:00Z","clusters":{"a":{"mode":"shadow","circuit_breaker":{"state":"open","opens_total":1e300,"since":"2026-11-24T10:00:00Z"}}}}`))
	f.Add([]byte(`{"clusters":{"\u001b[2J":{"rate_limit":{"remaining":-1,"requests_per_minute":1e308}},"b":{"failover":{"to":["\r"]}}},"redis":{"state":"\u009b"}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var s adminapi.Status
		if json.Unmarshal(raw, &s) != nil {
			return
		}
		var b strings.Builder
		printer := Printer{Out: &b}
		printer.Status("http://admin", &s)
		for name, c := range s.Clusters {
			printer.Cluster("http://admin", name, &c, s.Time.Time())
		}
		if strings.ContainsFunc(b.String(), func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }) {
			t.Fatalf("got %q, want only printable characters", b.String())
		}
	})
}
