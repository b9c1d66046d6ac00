package policy

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/google/go-cmp/cmp"
)

// TestBadDocuments decodes each file of testdata/bad in both forms and wants exactly the mistakes of its `# want:`
// lines.
func TestBadDocuments(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal(err, len(files))
	}
	getenv := variables(map[string]string{"EMPTY": "", "ZERO": "0", "MANY": "many", "LATIN1": "\xe9"})
	want := regexp.MustCompile(`(?m)^# want: (.*)$`)
	for _, file := range files {
		text := readFile(t, file)
		var lines []string
		for _, m := range want.FindAllSubmatch(text, -1) {
			lines = append(lines, string(m[1]))
		}
		for form, encode := range forms {
			t.Run(form+"/"+strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
				doc, err := Decode(encode(t, text), getenv)
				var mistakes *Mistakes
				if doc != nil || !errors.As(err, &mistakes) {
					t.Fatalf("got %v, %v; want no document and *Mistakes", doc, err)
				}
				if diff := cmp.Diff(lines, strings.Split(err.Error(), "\n")); diff != "" {
					t.Errorf("want (-), got (+):\n%s", diff)
				}
			})
		}
	}
}

// TestBadBytes has the mistakes that a YAML file can't have.
func TestBadBytes(t *testing.T) {
	deep := strings.Repeat(`{"a":`, 33) + "1" + strings.Repeat("}", 33)
	deepPath := "a" + strings.Repeat(".a", 31)
	tests := []struct{ name, raw, want string }{
		{"nothing", "", "clusters: missing, so there is nothing to enforce; write a policy here or in default, or write admin: {}"},
		{"white space", " \n\t", "clusters: missing, so there is nothing to enforce; write a policy here or in default, or write admin: {}"},
		{"YAML", "clusters:\n  a: {}", "document: not JSON: invalid character 'c' looking for beginning of value at line 1, column 1"},
		{"truncated", `{"clusters": {`, "document: not JSON: unexpected end of JSON input at line 1, column 14"},
		{"a trailing comma", "{\n \"clusters\": {},\n}", "document: not JSON: invalid character '}' looking for beginning of object key string at line 3, column 1"},
		{"trailing garbage", `{"clusters": {}} {}`, "document: not JSON: invalid character '{' after top-level value at line 1, column 18"},
		{"not UTF-8", "{\"clusters\": {\"\xff\": {}}}", "document: must be UTF-8"},
		{"too long", strings.Repeat(" ", 1<<20) + "{}", "document: must have at most 1048576 bytes, got 1048578"},
		{"too deep", deep, deepPath + ": must not be nested in more than 32 objects and lists"},
		{"too deep in a Struct", string(structBytes(t, []byte(deep))), deepPath + ": must not be nested in more than 32 objects and lists"},
		{"a key written twice", `{"clusters": {"a": {"bulkhead": {}, "bulkhead": {"max_concurrent": 5}}}}`, "clusters.a.bulkhead: is written twice, remove one"},
		{"clusters written twice", `{"clusters": {"a": {"bulkhead": {}}}, "clusters": {"a": {"bulkhead": 1}}}`, "clusters: is written twice, remove one\nclusters.a.bulkhead: must be an object, got a number"},
		{"a cluster written twice", `{"clusters": {"a": {"bulkhead": {}}, "a": {"bulkhead": 1}}}`, "clusters.a: is written twice, remove one"},
		{"a cluster without a name", `{"clusters": {"": {"mode": "${NONE}"}}}`, "clusters[\"\"]: the name is empty, write a cluster's name\nclusters[\"\"].mode: the variable NONE is not set; set it, or write ${NONE:-value} for a default"},
		{"a key written twice in a Struct", string(bytes.Repeat(structBytes(t, []byte(`{"default": {}}`)), 2)), "default: is written twice, remove one"},
		{"not a Struct", "\n\x05\x12\x12\x12\x12\x12", "document: must be JSON or the bytes of a google.protobuf.Struct, got neither"},
		{"a truncated Struct", string(structBytes(t, []byte(`{"default": {}}`))[:12]), "document: must be JSON or the bytes of a google.protobuf.Struct, got neither"},
		{"another message", "\n\x0b\n\x05hello\x12\x02\x50\x01", "document: must be JSON or the bytes of a google.protobuf.Struct, got neither"},
		{"a Struct's key is not UTF-8", "\n\x05\n\x01\xff\x12\x00", "document: must be UTF-8"},
		{"a Struct's string is not UTF-8", "\n\x08\n\x01a\x12\x03\x1a\x01\xff", "document: must be UTF-8"},
		{"NaN", bulkheadOf(t, math.NaN()), "clusters.a.bulkhead.max_concurrent: must be a finite number, got NaN"},
		{"infinite", bulkheadOf(t, math.Inf(1)), "clusters.a.bulkhead.max_concurrent: must be a finite number, got +Inf"},
		{"a long name", `{"clusters": {"` + strings.Repeat("a", 257) + `": {"x": 1}}}`, `clusters["` + strings.Repeat("a", 256) + `…"]: the name must have at most 256 bytes`},
		{"a number beyond float64", `{"clusters": {"a": {"bulkhead": {"max_concurrent": 1e999}}}}`, "clusters.a.bulkhead.max_concurrent: must be at most 1000000, got +Inf"},
		{"a line feed, then JSON", "\n{\"default\": 5}", "default: must be an object, got a number"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := Decode([]byte(test.raw), noVariables)
			if err == nil || err.Error() != test.want {
				t.Errorf("got  %v, want %s", err, test.want)
			}
		})
	}
}

// bulkheadOf is a Struct with a number that JSON doesn't have.
func bulkheadOf(t *testing.T, n float64) string {
	t.Helper()
	object := func(name string, v *structpb.Value) *structpb.Value {
		return structpb.NewStructValue(&structpb.Struct{Fields: map[string]*structpb.Value{name: v}})
	}
	document := object("clusters", object("a", object("bulkhead", object("max_concurrent", structpb.NewNumberValue(n)))))
	raw, err := proto.Marshal(document.GetStructValue())
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestVariablesAreBounded(t *testing.T) {
	getenv := variables(map[string]string{"LONG": strings.Repeat("x", 600_000)})
	_, err := Decode([]byte(`{"default": {"fallback": {"default_data": {"body": ["${LONG}", "${LONG}"]}}}}`), getenv)
	want := "default.fallback.default_data.body[1]: the values of all variables must have at most 1048576 bytes together"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// TestManyMistakes: the text stays readable in a log, and the list is bounded.
func TestManyMistakes(t *testing.T) {
	tests := []struct {
		unknownKeys, listed int
		last                string
	}{
		{1500, 1500, "and 500 more mistakes"},
		{10_500, 10_000, "and 9000 more mistakes"},
	}
	for _, test := range tests {
		var raw strings.Builder
		raw.WriteString(`{"default": {}`)
		for i := range test.unknownKeys {
			fmt.Fprintf(&raw, `, "k%d": 1`, i)
		}
		_, err := Decode([]byte(raw.String()+"}"), noVariables)
		var mistakes *Mistakes
		if !errors.As(err, &mistakes) || len(mistakes.List) != test.listed {
			t.Fatalf("%d unknown keys: got %T, want *Mistakes with %d entries", test.unknownKeys, err, test.listed)
		}
		lines := strings.Split(err.Error(), "\n")
		if len(lines) != 1001 || lines[1000] != test.last || !strings.HasPrefix(lines[9], "k9: ") || !strings.HasPrefix(lines[10], "k10: ") {
			t.Errorf("got %d lines, the last %q, k9 and k10 in %q", len(lines), lines[len(lines)-1], lines[9:11])
		}
	}
}
