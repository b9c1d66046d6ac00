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

// TestBadDocuments decodes each file of testdata/bad in both forms and wants exactly the lines that it names.
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
					t.Errorf("wanted (-) and got (+):\n%s", diff)
				}
			})
		}
	}
}

// TestBadBytes has the mistakes that no YAML file can make.
func TestBadBytes(t *testing.T) {
	deep := strings.Repeat(`{"a":`, 33) + "1" + strings.Repeat("}", 33)
	deepPath := "a" + strings.Repeat(".a", 31)
	tests := []struct{ name, raw, want string }{
		{"nothing", "", "clusters: missing; there is nothing to enforce. Write a policy here or in default, or admin: {}"},
		{"white space", " \n\t", "clusters: missing; there is nothing to enforce. Write a policy here or in default, or admin: {}"},
		{"YAML", "clusters:\n  a: {}", "document: not JSON: invalid character 'c' looking for beginning of value at line 1, column 1"},
		{"cut off", `{"clusters": {`, "document: not JSON: unexpected end of JSON input at line 1, column 14"},
		{"a comma too many", "{\n \"clusters\": {},\n}", "document: not JSON: invalid character '}' looking for beginning of object key string at line 3, column 1"},
		{"trailing garbage", `{"clusters": {}} {}`, "document: not JSON: invalid character '{' after top-level value at line 1, column 18"},
		{"not UTF-8", "{\"clusters\": {\"\xff\": {}}}", "document: not UTF-8"},
		{"too long", strings.Repeat(" ", 1<<20) + "{}", "document: must have at most 1048576 bytes, got 1048578"},
		{"too deep", deep, deepPath + ": stands within more than 32 objects and lists"},
		{"too deep in a Struct", string(structBytes(t, []byte(deep))), deepPath + ": stands within more than 32 objects and lists"},
		{"key twice", `{"clusters": {"a": {"bulkhead": {}, "bulkhead": {"max_concurrent": 5}}}}`, "clusters.a.bulkhead: stands twice"},
		{"key twice in a Struct", string(bytes.Repeat(structBytes(t, []byte(`{"default": {}}`)), 2)), "default: stands twice"},
		{"no Struct", "\n\x05\x12\x12\x12\x12\x12", "document: neither JSON nor the bytes of a google.protobuf.Struct"},
		{"half a Struct", string(structBytes(t, []byte(`{"default": {}}`))[:12]), "document: neither JSON nor the bytes of a google.protobuf.Struct"},
		{"another message", "\n\x0b\n\x05hello\x12\x02\x50\x01", "document: neither JSON nor the bytes of a google.protobuf.Struct"},
		{"a Struct's key is not UTF-8", "\n\x05\n\x01\xff\x12\x00", "document: not UTF-8"},
		{"a Struct's string is not UTF-8", "\n\x08\n\x01a\x12\x03\x1a\x01\xff", "document: not UTF-8"},
		{"NaN", bulkheadOf(t, math.NaN()), "clusters.a.bulkhead.max_concurrent: must be a finite number"},
		{"infinite", bulkheadOf(t, math.Inf(1)), "clusters.a.bulkhead.max_concurrent: must be a finite number"},
		{"a long name", `{"clusters": {"` + strings.Repeat("a", 257) + `": {"x": 1}}}`, `clusters["` + strings.Repeat("a", 256) + `…"]: the name has more than 256 bytes`},
		{"a number beyond float64", `{"clusters": {"a": {"bulkhead": {"max_concurrent": 1e999}}}}`, "clusters.a.bulkhead.max_concurrent: must be at most 1000000, got +Inf"},
		{"a line feed, then JSON", "\n{\"default\": 5}", "default: must be an object, got a number"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := Decode([]byte(test.raw), noVariables)
			if err == nil || err.Error() != test.want {
				t.Errorf("got  %v\nwant %s", err, test.want)
			}
		})
	}
}

// bulkheadOf is a Struct with a number that JSON can't write.
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
	want := "default.fallback.default_data.body[1]: the variables' values are longer than 1048576 bytes in all"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// TestManyMistakes: the text stays readable in a log, and the list bounded.
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
