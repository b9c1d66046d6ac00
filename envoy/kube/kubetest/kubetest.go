// Package kubetest has what tests of rendered objects need, of both control planes.
package kubetest

import (
	"strings"
	"testing"

	"github.com/weir-mesh/weir/envoy/kube"
	"github.com/weir-mesh/weir/envoy/policyfile"
	"github.com/weir-mesh/weir/policy"
)

// Read reads a policy into options, as the command does.
func Read(t testing.TB, o *kube.Options, yaml string, named func(json []byte) []byte, getenv func(name string) (string, bool)) {
	t.Helper()
	asJSON, err := policyfile.JSON([]byte(yaml))
	if err != nil {
		t.Fatal(err)
	}
	o.Policy = named(asJSON)
	if o.Document, err = policy.Decode(o.Policy, getenv); err != nil {
		t.Fatal(err)
	}
}

// Lines checks that the YAML of objects has lines, and not those with ! in front.
func Lines(t testing.TB, objects []kube.Object, lines []string) {
	t.Helper()
	yaml, err := kube.YAML("render", objects)
	if err != nil {
		t.Fatal(err)
	}
	text := " " + strings.ReplaceAll(string(yaml), "\n", "\n ")
	for _, line := range lines {
		line, unwanted := strings.CutPrefix(line, "!")
		if found := strings.Contains(text, " "+line+"\n"); found == unwanted {
			t.Errorf("got line %q: %v, want %v in\n%s", line, found, !unwanted, text)
		}
	}
}
