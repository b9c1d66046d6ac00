package policyfile

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestEnvoyForms reads each form of testdata/envoy_forms.txt as Envoy did; TestYAMLForms in e2e asks a real one.
func TestEnvoyForms(t *testing.T) {
	table, err := os.ReadFile("testdata/envoy_forms.txt")
	if err != nil {
		t.Fatal(err)
	}
	forms := 0
	var name, text string
	for line := range strings.Lines(string(table)) {
		switch {
		case strings.HasPrefix(line, "  "):
			text += line[2:]
		case !strings.HasPrefix(line, "= "):
			name, text = strings.TrimSpace(line), ""
		default:
			forms++
			t.Run(name, func(t *testing.T) {
				root, err := Read([]byte(text), Envoy)
				if err != nil {
					t.Fatal(err)
				}
				s, err := root.Struct()
				if err != nil {
					t.Fatal(err)
				}
				var want map[string]any
				if err := json.Unmarshal([]byte(line[2:]), &want); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, s.AsMap()); diff != "" {
					t.Errorf("%s\nEnvoy (-), got (+):\n%s", text, diff)
				}
			})
		}
	}
	if forms < 50 {
		t.Errorf("got %d forms, want the whole table", forms)
	}
}

func TestJSON(t *testing.T) {
	for name, test := range map[string]struct{ in, want string }{
		"JSON":                     {`{"clusters": {"aws": {}}}`, `{"clusters":{"aws":{}}}`},
		"on is text, not true":     {"fallback:\n  on: [circuit_open]\n", `{"fallback":{"on":["circuit_open"]}}`},
		"number as a key":          {"clusters:\n  5: {}\n", `{"clusters":{"5":{}}}`},
		"a date is text":           {"body: 2026-01-31\n", `{"body":"2026-01-31"}`},
		"numbers of the filter":    {"a: 1.67\nb: 3000000000\nc: 1e3\nd: \"1.5\"\n", `{"a":1.67,"b":"3000000000","c":1000,"d":"1.5"}`},
		"only comments and a null": {"# nothing\n---\n", `null`},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := JSON([]byte(test.in))
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

// TestKubernetesReading: what kubectl and Istio make of a WasmPlugin.
func TestKubernetesReading(t *testing.T) {
	const in = "on: yes\n1_0: 1_000\nx: &x {p: 010}\nm: {<<: *x, q: '5'}\nz: 1.5\n"
	root, err := Read([]byte(in), Kubernetes)
	if err != nil {
		t.Fatal(err)
	}
	got, err := root.JSON()
	const want = `{"10":1000,"m":{"p":8,"q":"5"},"true":true,"x":{"p":8},"z":1.5}`
	if err != nil || string(got) != want {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
}

func TestSyntaxErrors(t *testing.T) {
	for name, test := range map[string]struct {
		in           string
		line, column int
		want         string
	}{
		"an empty file":          {"", 0, 0, "empty"},
		"two documents":          {"a: 1\n---\nb: 1\n", 3, 1, "more than one"},
		"not YAML":               {"a:\n  b: ]\n", 2, 6, "not YAML"},
		"a tab":                  {"a:\n\tb: 1\n", 2, 1, "not YAML"},
		"no such anchor":         {"a: 1\nb: [*x]\n", 2, 5, "unknown anchor"},
		"an anchor in itself":    {"a: &a [*a]\n", 1, 8, "aliases"},
		"a list as a key":        {"? [a]\n: 1\n", 1, 3, "must be text"},
		"aliases without an end": {bomb(), 7, 10, "aliases"},
		"lists in lists":         {strings.Repeat("[", 200) + strings.Repeat("]", 200), 1, 102, "nested more than 100 deep"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := JSON([]byte(test.in))
			var syntax *SyntaxError
			if !errors.As(err, &syntax) || syntax.Line != test.line || syntax.Column != test.column || !strings.Contains(syntax.Text, test.want) {
				t.Errorf("got %s and %#v, want %q at %d:%d", got, err, test.want, test.line, test.column)
			}
		})
	}
}

// TestPairsOfJSON: what programs that write JSON in ASCII make of a character beyond the first 65,536.
func TestPairsOfJSON(t *testing.T) {
	got, err := JSON([]byte(`{"a": "\ud83d\ude00", "b": "\\ud83d\\ude00 \u00e9\"", "\ud83d\ude00": 1}`))
	if want := `{"a":"😀","b":"\\ud83d\\ude00 é\"","😀":1}`; err != nil || string(got) != want {
		t.Errorf("got %s and %v, want %s", got, err, want)
	}
}

// TestLargeFile: only aliases grow beyond what a file has.
func TestLargeFile(t *testing.T) {
	if _, err := JSON([]byte("a: &a [1]\nb: *a\nc: [" + strings.Repeat("1,", 1<<19) + "1]\n")); err != nil {
		t.Error(err)
	}
}

// bomb has ten aliases of ten aliases, eight deep.
func bomb() string {
	text := "a0: &a0 x\n"
	for i := range 8 {
		was, is := string(rune('0'+i)), string(rune('1'+i))
		text += "a" + is + ": &a" + is + " [" + strings.TrimSuffix(strings.Repeat("*a"+was+", ", 10), ", ") + "]\n"
	}
	return text
}
