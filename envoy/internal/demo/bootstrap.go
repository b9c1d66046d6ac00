package demo

import (
	"path/filepath"

	"github.com/weir-mesh/weir/envoy/policyfile"
	"github.com/weir-mesh/weir/envoy/render"
	"github.com/weir-mesh/weir/policy"
)

// example reads an example policy, decoded and as JSON. getenv gives the values for its `${NAME}`.
func example(text []byte, getenv func(string) (string, bool)) (*policy.Document, []byte, error) {
	asJSON, err := policyfile.JSON(text)
	if err != nil {
		return nil, nil, err
	}
	document, err := policy.Decode(asJSON, getenv)
	return document, asJSON, err
}

// noVariables is the environment of an example that needs none.
func noVariables(string) (string, bool) { return "", false }

// writeBootstrap writes a bootstrap to path and its watched file to the same directory. The kernel chooses the ports.
func writeBootstrap(o render.Options, wasm, path string) (err error) {
	if o.Wasm, err = filepath.Abs(wasm); err != nil {
		return err
	}
	const anywhere = "127.0.0.1:0"
	o.Listen, o.EnvoyAdmin = anywhere, anywhere
	files, err := render.Files(o, path)
	if err != nil {
		return err
	}
	for _, file := range files {
		if err := file.Replace(); err != nil {
			return err
		}
	}
	return nil
}
