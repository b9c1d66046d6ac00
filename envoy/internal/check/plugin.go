package check

import (
	"slices"
	"strings"

	"github.com/weir-mesh/weir/envoy/policyfile"
)

// form is how a policy reaches the filter.
type form uint8

const (
	asStruct  form = iota // google.protobuf.Struct
	asText                // a StringValue's text
	asJSON                // a StringValue that Istio makes of an object
	asChanged             // text that a change made of root
)

// plugin is one policy in a file.
type plugin struct {
	root    *policyfile.Node
	form    form
	text    string // asText
	reading policyfile.Reading
	getenv  Lookup
	mistake string // the configuration itself is wrong
}

// findPlugins returns Weir's plugins and the number of all Wasm plugins.
func findPlugins(roots []*policyfile.Node, reading func(root *policyfile.Node) policyfile.Reading, getenv Lookup) (weir []plugin, all int) {
	f := &finder{getenv: getenv}
	for _, root := range roots {
		f.reading = reading(root)
		switch kind := root.Get("kind"); {
		case kind == nil:
			f.search(root)
		case kind.Text == "WasmPlugin":
			f.wasmPlugin(root)
		case kind.Text == "EnvoyExtensionPolicy":
			f.extensionPolicy(root)
		default:
			f.search(root) // an EnvoyFilter holds Envoy's own configuration
		}
	}
	return f.weir, f.all
}

type finder struct {
	getenv  Lookup
	reading policyfile.Reading // of the document
	weir    []plugin
	all     int
}

// add counts a plugin, and keeps it if it is Weir's.
func (f *finder) add(p plugin, names ...*policyfile.Node) {
	f.all++
	p.reading = f.reading
	policy := p.root
	if p.form == asText {
		policy, _ = policyfile.Read([]byte(p.text), policyfile.JSONText)
	}
	named := slices.ContainsFunc(names, func(n *policyfile.Node) bool {
		return n != nil && strings.Contains(strings.ToLower(n.Text), "weir")
	})
	if named || slices.ContainsFunc([]string{"clusters", "default", "policies", "admin", "attempts"}, func(key string) bool { return policy.Get(key) != nil }) {
		f.weir = append(f.weir, p)
	}
}

// search looks for envoy.extensions.wasm.v3.PluginConfig, which is what has a configuration with a type, or a VM.
func (f *finder) search(n *policyfile.Node) {
	configuration, vm := n.Get("configuration"), n.Field("vm_config")
	if configuration.Get("@type") != nil || vm.Get("runtime") != nil {
		local := vm.At("code", "local", "filename")
		f.add(f.any(n, configuration, f.environment(vm)), n.Get("name"), n.Field("root_id"), vm.Field("vm_id"), local)
		return
	}
	for _, m := range n.Members {
		f.search(m.Value)
	}
	for _, item := range n.Items {
		f.search(item)
	}
}

// any reads a google.protobuf.Any. Without a configuration the filter gets no bytes.
func (f *finder) any(n, configuration *policyfile.Node, getenv Lookup) plugin {
	if configuration == nil {
		return plugin{root: n, form: asText, getenv: getenv}
	}
	p := plugin{root: configuration.Get("value"), getenv: getenv}
	if p.root == nil {
		p.root = &policyfile.Node{Line: configuration.Line, Column: configuration.Column, Kind: policyfile.Object}
	}
	typeURL := ""
	if t := configuration.Get("@type"); t != nil {
		typeURL = t.Text
	}
	switch _, name, _ := strings.Cut(typeURL, "/"); {
	case name == "google.protobuf.Struct":
	case name == "google.protobuf.StringValue" && p.root.Kind == policyfile.Text:
		p.form, p.text = asText, p.root.Text
	case name == "google.protobuf.StringValue":
		p.mistake = "the value of a StringValue must be a string, got " + p.root.Kind.String() + "; write |- and the policy as JSON, or use google.protobuf.Struct"
	default:
		p.mistake = "the configuration must be a google.protobuf.Struct or StringValue, got " + typeURL
	}
	return p
}

// environment is what vm_config gives to the filter: nothing that it does not list.
func (f *finder) environment(vm *policyfile.Node) Lookup {
	values, hosts := vm.Field("environment_variables", "key_values"), vm.Field("environment_variables", "host_env_keys")
	return func(name string) (string, bool) {
		if v := values.Get(name); v != nil {
			return v.Text, true
		}
		if hosts != nil && slices.ContainsFunc(hosts.Items, func(h *policyfile.Node) bool { return h.Text == name }) {
			return f.getenv(name)
		}
		return "", false
	}
}

// wasmPlugin reads Istio's, whose pluginConfig reaches the filter as JSON.
// https://istio.io/latest/docs/reference/config/proxy_extensions/wasm-plugin/
func (f *finder) wasmPlugin(root *policyfile.Node) {
	spec := root.Get("spec")
	getenv := func(name string) (string, bool) {
		env := spec.At("vmConfig", "env")
		if env == nil {
			return "", false
		}
		for _, e := range env.Items {
			if n := e.Get("name"); n == nil || n.Text != name {
				continue
			}
			if from := e.Get("valueFrom"); from != nil && from.Text == "HOST" {
				return f.getenv(name)
			}
			if v := e.Get("value"); v != nil {
				return v.Text, true
			}
			return "", true
		}
		return "", false
	}
	p := plugin{root: spec.Get("pluginConfig"), form: asJSON, getenv: getenv}
	switch {
	case p.root == nil && spec != nil:
		p = plugin{root: spec, form: asText, getenv: getenv}
	case p.root == nil:
		p = plugin{root: root, mistake: "a WasmPlugin needs a spec", getenv: getenv}
	}
	f.add(p, spec.Get("url"), spec.Get("pluginName"), root.At("metadata", "name"))
}

// extensionPolicy reads Envoy Gateway's. https://gateway.envoyproxy.io/docs/api/extension_types/#wasm
func (f *finder) extensionPolicy(root *policyfile.Node) {
	wasm := root.At("spec", "wasm")
	if wasm == nil {
		return
	}
	for _, w := range wasm.Items {
		hosts := w.At("env", "hostKeys")
		getenv := func(name string) (string, bool) {
			if hosts != nil && slices.ContainsFunc(hosts.Items, func(h *policyfile.Node) bool { return h.Text == name }) {
				return f.getenv(name)
			}
			return "", false
		}
		p := plugin{root: w.Get("config"), form: asJSON, getenv: getenv}
		if p.root == nil {
			p = plugin{root: w, form: asText, getenv: getenv}
		}
		f.add(p, w.Get("name"), w.Get("rootID"), w.At("code", "image", "url"))
	}
}

// isConfiguration reports whether a file is Envoy's or Kubernetes' and no policy of its own.
func isConfiguration(roots []*policyfile.Node) bool {
	keys := []string{"static_resources", "dynamic_resources", "resources", "apiVersion", "http_filters", "filter_chains"}
	return slices.ContainsFunc(roots, func(root *policyfile.Node) bool {
		return slices.ContainsFunc(keys, func(key string) bool { return root.Get(key) != nil })
	})
}
