package kube

import (
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/weir-mesh/weir/envoy/render"
	"github.com/weir-mesh/weir/filter/version"
)

// Marks stand in a chart's objects in place of its values: the objects are rendered with them, so that what is made of a value, such as
// the host of the bridge, has the mark in it too. Each is what the checks take for such a value.
const (
	namespaceMark = "weir-helm-namespace"
	moduleMark    = "weir-helm-module/weir"
	sha256Mark    = "776569722d68656c6d2d736861323536776569722d68656c6d2d736861323536"
	imageMark     = "weir-helm-image"
	replicasMark  = "weir-helm-replicas"
	policyMark    = "weir-helm-policy"
)

var marks = [...]string{namespaceMark, moduleMark, sha256Mark, imageMark, replicasMark, policyMark}

// Chart is a Helm chart of the objects of a policy. With its own values `helm template` gives the objects themselves.
type Chart struct {
	Command string                   // that renders it
	Options Options                  // whose values are the chart's
	Plain   []Object                 // rendered with Options
	Marked  func() ([]Object, error) // renders the same with Options.WithMarks

	FixedModule  bool     // the module is no value: other objects depend on its URL
	PolicyAt     []string // where the policy is in the spec of the last object; a number is an element of a list
	RedisCluster string   // what redis.cluster is, rendered with marks, if it depends on the namespace
}

// WithMarks are the options with marks in place of values.
func (o Options) WithMarks(fixedModule bool) Options {
	o.Namespace = namespaceMark
	if !fixedModule {
		o.Module, o.SHA256 = markedModule(o.Module), sha256Mark
	}
	if o.Bridge != "" {
		o.Bridge = imageMark
	}
	return o
}

// markedModule is a URL of the same kind as a module's.
func markedModule(module string) string {
	if kind := kindOf(module); kind != "file://" {
		return kind + moduleMark
	}
	return "file:///" + moduleMark
}

// kindOf is the beginning of a module's URL: oci://, https://, http://, file://.
func kindOf(module string) string {
	kind, _, _ := strings.Cut(module, "://")
	return kind + "://"
}

// Files are those of the chart, in dir.
func (c Chart) Files(dir string) ([]render.File, error) {
	plain, err := YAML(c.Command, c.Plain)
	if err != nil {
		return nil, err
	}
	for _, mark := range marks {
		if strings.Contains(string(plain), mark) {
			return nil, fmt.Errorf("%q is in the objects, and is what a chart has in place of its values: use another name", mark)
		}
	}
	about, err := yaml.Marshal(map[string]any{
		"apiVersion": "v2", "type": "application", "name": c.Options.Name, "version": version.Version, "appVersion": version.Version,
		"description": "A policy of Weir, and what enforces it. Written by weir " + c.Command + ".",
	})
	if err != nil {
		return nil, err
	}
	values, err := c.values()
	if err != nil {
		return nil, err
	}
	marked, err := c.Marked()
	if err != nil {
		return nil, err
	}
	files := []render.File{{Path: filepath.Join(dir, "Chart.yaml"), Content: about}, {Path: filepath.Join(dir, "values.yaml"), Content: values}}
	for i, name := range fileNames(c.Plain) {
		text, err := c.template(marked[i], i == len(marked)-1)
		if err != nil {
			return nil, err
		}
		files = append(files, render.File{Path: filepath.Join(dir, "templates", name), Content: []byte(text)})
	}
	return files, nil
}

type tree = map[string]any

// values is values.yaml.
func (c Chart) values() ([]byte, error) {
	var policy tree
	if err := json.Unmarshal(c.Options.Policy, &policy); err != nil {
		return nil, err
	}
	if redis, ok := policy["redis"].(tree); ok && c.RedisCluster != "" {
		delete(redis, "cluster") // see preamble
	}
	var all strings.Builder
	all.WriteString(header(c.Command) + "# It is written again by each rendering: give values of yours to helm by -f or --set.\n")
	for _, section := range []struct {
		without bool
		comment string
		values  tree
	}{
		{false, "Namespace of the objects. Names in the policy stay as they are.", tree{"namespace": c.Options.Namespace}},
		{
			c.FixedModule, "The filter: its URL, which has to begin with " + kindOf(c.Options.Module) + ", and its checksum in hexadecimal or none.",
			tree{"module": tree{"url": c.Options.Module, "sha256": c.Options.SHA256}},
		},
		{c.Options.Bridge == "", "The bridge to Redis, from the image of the weir command.", tree{"bridge": tree{"image": c.Options.Bridge, "replicas": bridgeReplicas}}},
		{
			false, "The policy. Limits, fallbacks and the like may differ by environment. Render again after a change of names, and in retry,\n" +
				"circuit_breaker or failover: other objects of this chart depend on these.", tree{"policy": policy},
		},
	} {
		if section.without {
			continue
		}
		text, err := yaml.Marshal(section.values)
		if err != nil {
			return nil, err
		}
		all.WriteString("\n# " + strings.ReplaceAll(section.comment, "\n", "\n# ") + "\n" + string(text))
	}
	return []byte(all.String()), nil
}

// template is one object as a template.
func (c Chart) template(o Object, last bool) (string, error) {
	preamble := ""
	if last {
		var err error
		if preamble, err = c.preamble(); err != nil {
			return "", err
		}
		asJSON, err := json.Marshal(o.Spec)
		if err != nil {
			return "", err
		}
		var spec any
		if err := json.Unmarshal(asJSON, &spec); err != nil {
			return "", err
		}
		o.Spec = with(spec, c.PolicyAt, policyMark)
	}
	if o.Kind == "Deployment" {
		o.Spec = with(o.Spec, []string{"replicas"}, replicasMark)
	}
	body, err := o.YAML()
	if err != nil {
		return "", err
	}
	return header(c.Command) + preamble + c.place(strings.ReplaceAll(string(body), "{{", `{{ "{{" }}`)), nil
}

// with is a tree with another value at a path.
func with(in any, path []string, v any) any {
	if len(path) == 0 {
		return v
	}
	switch in := in.(type) {
	case tree:
		in[path[0]] = with(in[path[0]], path[1:], v)
	case []any:
		if i, err := strconv.Atoi(path[0]); err == nil && i < len(in) {
			in[i] = with(in[i], path[1:], v)
		}
	}
	return in
}

// preamble refuses a module of another kind, for which the objects would be others, and makes $policy.
func (c Chart) preamble() (string, error) {
	var text strings.Builder
	if kind := kindOf(c.Options.Module); !c.FixedModule {
		fmt.Fprintf(&text, `{{- if not (hasPrefix %[1]q .Values.module.url) }}
{{- fail "module.url has to begin with %[1]s, as when this chart was written; for another one run weir %[2]s again" }}
{{- end }}
`, kind, c.Command)
	}
	text.WriteString("{{- $policy := deepCopy .Values.policy }}\n")
	if c.RedisCluster != "" {
		name := strings.ReplaceAll(c.RedisCluster, namespaceMark, "%s")
		fmt.Fprintf(&text, "{{- $policy = merge $policy (dict \"redis\" (dict \"cluster\" (printf %q .Values.namespace))) }}\n", name)
	}
	var policy tree
	if err := json.Unmarshal(c.Options.Policy, &policy); err != nil {
		return "", err
	}
	for _, path := range nulls(nil, policy) {
		parent, key := "$policy", path[len(path)-1]
		if len(path) > 1 {
			parent = "dig"
			for _, name := range path[:len(path)-1] {
				parent += fmt.Sprintf(" %q", name)
			}
			parent += " nil $policy"
		}
		// Helm drops what is null in values. What is left may be an empty object, for which "with" does nothing.
		fmt.Fprintf(&text, "{{- $in := %s }}{{ if kindIs \"map\" $in }}{{ if not (hasKey $in %[2]q) }}{{ $_ := set $in %[2]q nil }}{{ end }}{{ end }}\n", parent, key)
	}
	return text.String(), nil
}

// nulls are the paths of what is null in a tree, but for what is in lists.
func nulls(path []string, in tree) (paths [][]string) {
	for _, key := range slices.Sorted(maps.Keys(in)) {
		at := append(slices.Clip(path), key)
		switch v := in[key].(type) {
		case nil:
			paths = append(paths, at)
		case tree:
			paths = append(paths, nulls(at, v)...)
		}
	}
	return paths
}

// place puts expressions in the places of marks.
func (c Chart) place(text string) string {
	module, kind := markedModule(c.Options.Module), kindOf(c.Options.Module)
	text = strings.ReplaceAll(text, ": "+replicasMark+"\n", ": {{ .Values.bridge.replicas }}\n")
	text = optional(text, sha256Mark, ".Values.module.sha256")
	text = value(text, module, ".Values.module.url")
	text = value(text, strings.TrimPrefix(module, kind), `trimPrefix "`+kind+`" .Values.module.url`)
	text = value(text, imageMark, ".Values.bridge.image")
	text = policyLine.ReplaceAllStringFunc(text, func(line string) string {
		indent := len(line) - len(strings.TrimLeft(line, " ")) + 2
		return fmt.Sprintf("%s\n%s{{- toYaml $policy | nindent %d }}", strings.TrimSuffix(line, " "+policyMark), strings.Repeat(" ", indent), indent)
	})
	return value(text, namespaceMark, ".Values.namespace")
}

var policyLine = regexp.MustCompile(`(?m)^ *\w+: ` + policyMark + `$`)

// value puts an expression in place of a mark, quoted where it is the whole value of a field, which may look like a number.
func value(text, mark, expression string) string {
	text = strings.ReplaceAll(text, ": "+mark+"\n", ": {{ "+expression+" | quote }}\n")
	return strings.ReplaceAll(text, mark, "{{ "+expression+" }}")
}

// optional leaves a field out if its value is empty.
func optional(text, mark, expression string) string {
	line := regexp.MustCompile(`(?m)^( *)(\w+): ` + mark + `$`)
	return line.ReplaceAllString(text, "$1{{- with "+expression+" }}\n$1$2: {{ . | quote }}\n$1{{- end }}")
}
