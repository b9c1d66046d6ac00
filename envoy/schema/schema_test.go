package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"

	"github.com/weir-mesh/weir/envoy/policyfile"
	"github.com/weir-mesh/weir/policy"
)

var update = flag.Bool("update", false, "rewrite policy.schema.json")

// TestGenerated: the schema that is published is the one of this decoder and of this REFERENCE.md.
func TestGenerated(t *testing.T) {
	reference, err := os.ReadFile("../../policy/REFERENCE.md")
	if err != nil {
		t.Fatal(err)
	}
	meanings := map[string]string{}
	row := regexp.MustCompile("(?m)^\\| `([^`]+)` \\| [^|]+ \\| [^|]+ \\| ([^|]+) \\|$")
	for _, m := range row.FindAllStringSubmatch(string(reference), -1) {
		meanings[m[1]] = m[2]
	}
	got, err := Generate(policy.Keys(), meanings)
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile("policy.schema.json", got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(string(Policy), string(got)); diff != "" {
		t.Errorf("policy.schema.json is not what the decoder and REFERENCE.md say (-file, +want); go test ./envoy/schema -update writes it:\n%s", diff)
	}
}

func compile(t *testing.T) *jsonschema.Schema {
	t.Helper()
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(Policy))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("policy.schema.json", document); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("policy.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

func parse(t *testing.T, raw []byte) any {
	t.Helper()
	instance, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	return instance
}

func environment(name string) (string, bool) {
	value, ok := map[string]string{"HOST": "0", "EMPTY": "", "ZERO": "0", "MANY": "many", "LATIN1": "\xe9"}[name]
	return value, ok
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	asJSON, err := policyfile.JSON(raw)
	if err != nil {
		t.Fatal(err)
	}
	return asJSON
}

// TestGoodPolicies: what the decoder accepts is valid.
func TestGoodPolicies(t *testing.T) {
	schema := compile(t)
	var files []string
	for _, pattern := range []string{"../../policy/testdata/good/*.yaml", "../examples/*policy.yaml", "../examples/presets.yaml"} {
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) == 0 {
			t.Fatalf("%s: found nothing, %v", pattern, err)
		}
		files = append(files, found...)
	}
	for _, file := range files {
		if err := schema.Validate(parse(t, read(t, file))); err != nil {
			t.Errorf("%s: %v, want it to be valid", file, err)
		}
	}
	for _, document := range []string{
		`{"admin": {}}`, `{"admin": {"hosts": ["Weir.example.com"]}}`, `{"attempts": {}}`, `{"default": {"mode": false}}`,
		`{"clusters": {"a": {"fallback": {"true": ["rate_limited"]}}}}`,
		`{"redis": {}, "clusters": {"*": {"rate_limit": {"scope": "mesh", "key": [{"client_ip": {}}, "path", {"header": "x_y"}]}}}}`,
		`{"clusters": {"a": {"retry": {"driver": "${DRIVER:-envoy}", "max_attempts": "${MANY_TIMES:-2}", "jitter": "${JITTER:-true}"}}}}`,
		`{"clusters": {"a": {"retry": {"base_delay": 0.5, "max_delay": "1m0.5s", "retry_on": [429, "503", "grpc:14", "4xx"]}}}}`,
	} {
		if _, err := policy.Decode([]byte(document), environment); err != nil {
			t.Fatalf("%s: %v", document, err)
		}
		if err := schema.Validate(parse(t, []byte(document))); err != nil {
			t.Errorf("%s: %v, want it to be valid", document, err)
		}
	}
}

// TestBadPolicies: of each file of policy/testdata/bad, what a schema can say is said at the right place.
func TestBadPolicies(t *testing.T) {
	schema := compile(t)
	files, err := filepath.Glob("../../policy/testdata/bad/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	said, unsaid := 0, 0
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			raw := read(t, file)
			instance := parse(t, raw)
			errs := places(instance, schema.Validate(instance))
			for _, m := range mistakes(t, raw) {
				if !expressible(instance, m) {
					unsaid++
					continue
				}
				if !slices.ContainsFunc(errs, func(at string) bool { return near(at, m.Path) }) {
					t.Errorf("%s: %s: the schema has no error there, but at %q", m.Path, m.Text, errs)
				}
				said++
			}
		})
	}
	t.Logf("the schema says %d of %d mistakes", said, said+unsaid)
}

// mistakes are the decoder's.
func mistakes(t *testing.T, raw []byte) []policy.Mistake {
	t.Helper()
	_, err := policy.Decode(raw, environment)
	var all *policy.Mistakes
	if !errors.As(err, &all) {
		t.Fatalf("got %v, want mistakes", err)
	}
	return all.List
}

// beyond are mistakes that a schema can't have: comparisons of two values, sums, and what variables will be.
var beyond = regexp.MustCompile(`must be at (?:least|most) [a-z_]+ \(|can't split |amounts to|^requests / window_size|in another case|lists the cluster itself|rename the policy|` +
	`variable |no closing }|is neither \$\{NAME\}|after :- can't contain`)

func expressible(instance any, m policy.Mistake) bool {
	at, _ := find(instance, "", m.Path)
	text, isText := at.(string)
	switch {
	case beyond.MatchString(m.Text):
		return false
	case strings.Contains(m.Text, "is listed twice"): // as `A` and `a`, or as a word and a variable; not in the same spelling
		list, _ := find(instance, "", m.Path[:strings.LastIndexByte(m.Path, '[')])
		items, _ := list.([]any)
		seen := map[string]bool{}
		for _, item := range items {
			asJSON, _ := json.Marshal(item)
			if seen[string(asJSON)] {
				return true
			}
			seen[string(asJSON)] = true
		}
		return false
	case isText && strings.Contains(text, "${"):
		return false
	case isText && regexp.MustCompile(`must be at (least|most) .*, got|, got "[0-9.]+[a-z]+"`).MatchString(m.Text): // a duration with a unit
		return regexp.MustCompile(`"[0-9]+d"`).MatchString(m.Text)
	}
	return true
}

// find is the value at a path.
func find(v any, path, want string) (found any, ok bool) {
	if path == want || path == "" && want == "document" {
		return v, true
	}
	switch v := v.(type) {
	case map[string]any:
		for name, below := range v {
			if found, ok = find(below, policy.MemberPath(path, name), want); ok {
				return found, true
			}
		}
	case []any:
		for i, below := range v {
			if found, ok = find(below, policy.IndexPath(path, i), want); ok {
				return found, true
			}
		}
	}
	return nil, false
}

// places are the paths of a validation's errors that have no cause of their own.
func places(instance any, err error) (all []string) {
	var failed *jsonschema.ValidationError
	if !errors.As(err, &failed) {
		return nil
	}
	name, isName := failed.ErrorKind.(*kind.PropertyNames) // its causes have no place
	for _, cause := range failed.Causes {
		if !isName {
			all = append(all, places(instance, cause)...)
		}
	}
	if len(failed.Causes) > 0 && !isName {
		return all
	}
	path, v := "", instance
	for _, step := range failed.InstanceLocation {
		switch within := v.(type) {
		case map[string]any:
			path, v = policy.MemberPath(path, step), within[step]
		case []any:
			i := slices.IndexFunc(within, func(any) bool { return true })
			if err := json.Unmarshal([]byte(step), &i); err != nil || i < 0 || i >= len(within) {
				return nil
			}
			path, v = policy.IndexPath(path, i), within[i]
		}
	}
	if isName {
		path = policy.MemberPath(path, name.Property)
	}
	return []string{path}
}

// near says that an error is at the path of a mistake, at an entry of it, or at the object that lacks the key or has it
// and should not.
func near(at, want string) bool {
	if want == "document" {
		want = ""
	}
	rest, below := strings.CutPrefix(at, want)
	above := want[:max(strings.LastIndexAny(want, ".["), 0)]
	return at == want || below && want != "" && (rest[0] == '.' || rest[0] == '[') || at == above
}

// TestChangedPolicies changes each value of a policy with every key to many others, and compares the schema's judgement
// with the decoder's.
func TestChangedPolicies(t *testing.T) {
	schema := compile(t)
	raw := read(t, "../../policy/testdata/good/everything.yaml")
	values := []string{
		`null`, `true`, `false`, `0`, `-1`, `1`, `2`, `3`, `1.5`, `0.5`, `100`, `204`, `429`, `1e9`, `""`, `"x"`, `"5s"`, `"-5s"`, `"5"`, `"1d"`, `"GET"`, `"a b"`,
		`"5xx"`, `"off"`, `"on"`, `"${A:-1}"`, `"${A:-x}"`, `"a*"`, `":path"`, `"x-weir-a"`, `"grpc:14"`, `"grpc:aborted"`, `"client_ip"`, `"mesh"`, `"filter"`,
		`[]`, `["x"]`, `["GET", "GET"]`, `["5xx", 429]`, `["grpc:internal"]`, `["path", {"header": "a"}]`, `{}`, `{"a": 1}`, `{"to": ["b"]}`,
	}
	var paths [][]string
	var walk func(v any, path []string)
	walk = func(v any, path []string) {
		paths = append(paths, slices.Clone(path))
		if object, ok := v.(map[string]any); ok {
			for name, below := range object {
				walk(below, append(path, name))
			}
		}
	}
	walk(parse(t, raw), nil)
	accepted, refused := 0, 0
	for _, path := range paths[1:] {
		for _, value := range values {
			changed := only(parse(t, raw), path)
			set(changed, path, parse(t, []byte(value)))
			asJSON, err := json.Marshal(changed)
			if err != nil {
				t.Fatal(err)
			}
			_, decodeErr := policy.Decode(asJSON, environment)
			err = schema.Validate(changed)
			switch {
			case decodeErr == nil && err != nil:
				t.Errorf("%s: %s: the decoder accepts it, the schema says %v", strings.Join(path, "."), value, err)
			case decodeErr == nil:
				accepted++
			case err == nil && slices.ContainsFunc(mistakes(t, asJSON), func(m policy.Mistake) bool { return expressible(changed, m) }):
				t.Errorf("%s: %s: the schema accepts it, the decoder says %v", strings.Join(path, "."), value, decodeErr)
			default:
				refused++
			}
		}
	}
	if accepted < 500 || refused < 500 {
		t.Errorf("got %d accepted and %d refused policies, want many of both", accepted, refused)
	}
}

// only keeps of a document the section of a cluster that a path leads into, and what is beside the clusters.
func only(v any, path []string) any {
	if path[0] == "clusters" && len(path) > 2 {
		cluster := v.(map[string]any)["clusters"].(map[string]any)[path[1]].(map[string]any)
		maps.DeleteFunc(cluster, func(section string, _ any) bool { return section != path[2] })
	}
	return v
}

func set(v any, path []string, to any) {
	object := v.(map[string]any)
	if len(path) == 1 {
		object[path[0]] = to
		return
	}
	set(object[path[0]], path[1:], to)
}
