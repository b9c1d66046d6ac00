package policyfile

import (
	"strings"
	"testing"
)

func TestJSON(t *testing.T) {
	for name, test := range map[string]struct{ in, want string }{
		"JSON":                     {`{"clusters": {"aws": {}}}`, `{"clusters":{"aws":{}}}`},
		"on is text, not true":     {"fallback:\n  on: [circuit_open]\n", `{"fallback":{"on":["circuit_open"]}}`},
		"number as a key":          {"clusters:\n  5: {}\n", `{"clusters":{"5":{}}}`},
		"null as a key":            {"~: 1\n", `{"~":1}`},
		"a date is text":           {"body: 2026-01-31\n", `{"body":"2026-01-31"}`},
		"numbers stay numbers":     {"a: 1.67\nb: 9007199254740993\n", `{"a":1.67,"b":9007199254740993}`},
		"yes is text":              {"a: yes\nb: true\n", `{"a":"yes","b":true}`},
		"merge keys":               {"a: &x {b: 1}\nc:\n  <<: *x\n", `{"a":{"b":1},"c":{"b":1}}`},
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

func TestJSONRefuses(t *testing.T) {
	for name, test := range map[string]struct{ in, want string }{
		"a key twice":         {"clusters:\n  a: {}\n  b: {}\n  a: {}\n", `line 4: mapping key "a" already defined at line 2`},
		"a key twice in JSON": {`{"a": 1, "a": 2}`, `mapping key "a" already defined`},
		"an empty file":       {"", "empty"},
		"two documents":       {"a: 1\n---\nb: 1\n", "more than one"},
		"not YAML":            {"a: [1\n", "line 1"},
		"infinity":            {"a: .inf\n", "no JSON form"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := JSON([]byte(test.in))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %s and %v, want an error with %q", got, err, test.want)
			}
		})
	}
}
