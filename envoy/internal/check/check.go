// Package check says about a file what the filter would say about the policies in it, and where. A policy comes as a
// document of its own, in Envoy's configuration (a bootstrap, a watched listener or *.ecds.yaml), in a WasmPlugin of
// Istio, or in an EnvoyExtensionPolicy of Envoy Gateway.
package check

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/weir-mesh/weir/envoy/policyfile"
	"github.com/weir-mesh/weir/policy"
)

// Severity says what a finding means.
type Severity string

// The severities.
const (
	Mistake Severity = "mistake" // the filter refuses the policy
	Warning Severity = "warning" // it is accepted, and surely not meant
)

// Finding is one thing about a file.
type Finding struct {
	Line     int      `json:"line"` // from 1; 0: the file as a whole
	Column   int      `json:"column"`
	Severity Severity `json:"severity"`
	Path     string   `json:"path"` // within the policy; "": the policy as a whole
	Text     string   `json:"text"`
}

// Lookup returns the value for `${NAME}`, like os.LookupEnv.
type Lookup func(name string) (string, bool)

// Result is what a file has.
type Result struct {
	Findings []Finding
	Policies []*policy.Document // those without a mistake
}

// Failed reports whether a finding is a mistake.
func (r *Result) Failed() bool {
	for _, f := range r.Findings {
		if f.Severity == Mistake {
			return true
		}
	}
	return false
}

// File checks a file's content. name tells a .json file, which Envoy reads as JSON. getenv is the environment of a
// policy that is a document of its own, and what a plugin's configuration takes from the host.
func File(name string, raw []byte, getenv Lookup) *Result {
	r := &Result{}
	asJSON := json.Valid(raw) && (strings.HasSuffix(name, ".json") || bytes.HasPrefix(bytes.TrimSpace(raw), []byte("{")))
	reading := func(root *policyfile.Node) policyfile.Reading {
		switch {
		case asJSON:
			return policyfile.JSONText
		case root.Get("apiVersion") != nil && root.Get("kind") != nil:
			return policyfile.Kubernetes
		default:
			return policyfile.Envoy
		}
	}
	roots, err := policyfile.ReadAll(raw, reading)
	var syntax *policyfile.SyntaxError
	if errors.As(err, &syntax) {
		r.Findings = append(r.Findings, Finding{syntax.Line, syntax.Column, Mistake, "", syntax.Text})
		return r
	}
	plugins, all := findPlugins(roots, reading, getenv)
	switch {
	case len(plugins) > 0:
	case all > 0:
		r.whole("has Wasm plugins, but none of Weir: none is named weir, or has clusters, default, policies, admin or attempts; check its name")
		return r
	case isConfiguration(roots):
		r.whole("has no Wasm plugin with a policy; name the file that has it, such as *.ecds.yaml")
		return r
	case len(roots) > 1:
		r.Findings = append(r.Findings, Finding{
			roots[1].Line, roots[1].Column, Mistake, "", "the file holds more than one YAML document; write one",
		})
		return r
	default:
		plugins = []plugin{{root: roots[0], form: asStruct, getenv: getenv}}
		if asJSON {
			plugins[0] = plugin{root: roots[0], form: asText, text: string(raw), getenv: getenv}
		}
	}
	for _, p := range plugins {
		r.plugin(p)
	}
	r.named(roots)
	return r
}

func (r *Result) whole(text string) {
	r.Findings = append(r.Findings, Finding{Severity: Mistake, Text: text})
}

// plugin checks one policy in the bytes in which the filter gets it.
func (r *Result) plugin(p plugin) {
	if p.mistake != "" {
		r.Findings = append(r.Findings, Finding{p.root.Line, p.root.Column, Mistake, "", p.mistake})
		return
	}
	at := positionsOf(p)
	raw := []byte(p.text)
	switch p.form {
	case asStruct:
		s, err := p.root.Struct()
		if err != nil {
			r.Findings = append(r.Findings, at.finding(Mistake, "", err.Error()))
			return
		}
		if raw, err = proto.Marshal(s); err != nil {
			r.Findings = append(r.Findings, at.finding(Mistake, "", err.Error()))
			return
		}
	case asJSON:
		var err error
		if raw, err = p.root.JSON(); err != nil {
			r.Findings = append(r.Findings, at.finding(Mistake, "", err.Error()))
			return
		}
	case asText, asChanged:
	}
	document, err := policy.Decode(raw, p.getenv)
	var mistakes *policy.Mistakes
	if errors.As(err, &mistakes) {
		for _, m := range mistakes.List {
			r.Findings = append(r.Findings, at.finding(Mistake, m.Path, m.Text))
		}
	} else {
		r.Policies = append(r.Policies, document)
	}
	r.Findings = append(r.Findings, writtenTwice(at, p)...)
	r.Findings = append(r.Findings, warnings(at, document)...)
}

// Changed checks a policy document of its own after a change of its JSON, with the places of what was written in raw.
func Changed(raw, changed []byte, getenv Lookup) (document *policy.Document, mistakes, warned []Finding) {
	root, err := policyfile.Read(raw, policyfile.Envoy)
	if err != nil {
		return nil, []Finding{{Severity: Mistake, Text: err.Error()}}, nil
	}
	r := &Result{}
	r.plugin(plugin{root: root, form: asChanged, text: string(changed), getenv: getenv})
	for _, f := range r.Findings {
		if f.Severity == Mistake {
			mistakes = append(mistakes, f)
		} else {
			warned = append(warned, f)
		}
	}
	if len(r.Policies) > 0 {
		document = r.Policies[0]
	}
	return document, mistakes, warned
}
