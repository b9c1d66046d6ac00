package policy

import (
	"fmt"
	"strings"
	"testing"
)

func TestDefaultFor(t *testing.T) {
	const byPath = `"default_data_by_path": {
		"/prices/*": {"body": "prices"}, "*": {"body": "any"}, "/prices/eu": {"body": "eu"}, "/prices/*/eu": {"body": "some eu"}, "/*/eu/long": {"body": "long"}}`
	for _, tc := range []struct{ section, path, want string }{
		{byPath, "/prices/eu", "eu"},
		{byPath, "/prices/", "prices"},
		{byPath, "/prices/us/east", "prices"},
		{byPath, "/prices/us/eu", "some eu"},
		{byPath, "/prices/eu/long", "long"}, // the longest pattern
		{byPath, "/prices", "any"},
		{byPath, "/Prices/eu", "any"},
		{byPath, "", "any"},
		{`"default_data": {"body": "else"}, "default_data_by_path": {"/a": {"body": "a"}}`, "/a", "a"},
		{`"default_data": {"body": "else"}, "default_data_by_path": {"/a": {"body": "a"}}`, "/a/", "else"},
		{`"default_data_by_path": {"/a": {"body": "a"}}`, "/b", ""},
		{`"default_data_by_path": {}`, "/b", ""},
		{`"default_data": {"body": "else"}`, "/b", "else"},
		{`"on": []`, "/b", ""},
	} {
		raw := []byte(`{"default": {"fallback": {` + tc.section + `}}}`)
		for form, raw := range map[string][]byte{"JSON": raw, "a Struct": structBytes(t, raw)} {
			doc, err := Decode(raw, noVariables)
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			if data := doc.Default.Fallback.DefaultFor(tc.path); data != nil {
				got = string(data.Body)
			}
			if got != tc.want {
				t.Errorf("%s in %s: DefaultFor(%q) = %q, want %q", tc.section, form, tc.path, got, tc.want)
			}
		}
	}
}

func TestManyDefaultsByPath(t *testing.T) {
	for _, tc := range []struct {
		paths int
		want  string
	}{{100, "<nil>"}, {101, "default.fallback.default_data_by_path: must have at most 100 paths, got 101"}} {
		var paths []string
		for i := range tc.paths {
			paths = append(paths, fmt.Sprintf(`"/%d": {}`, i))
		}
		_, err := Decode([]byte(`{"default": {"fallback": {"default_data_by_path": {`+strings.Join(paths, ",")+`}}}}`), noVariables)
		if fmt.Sprint(err) != tc.want {
			t.Errorf("%d paths: got %v, want %s", tc.paths, err, tc.want)
		}
	}
}
