package kube

import (
	"bytes"
	"path/filepath"
	"strings"

	"github.com/weir-mesh/weir/envoy/render"
	"sigs.k8s.io/yaml"
)

// header says which command has written a file.
func header(command string) string { return "# Written by weir " + command + ".\n" }

// YAML writes all objects into one file for kubectl apply -f.
func YAML(command string, objects []Object) ([]byte, error) {
	var all bytes.Buffer
	for i, object := range objects {
		body, err := object.YAML()
		if err != nil {
			return nil, err
		}
		all.WriteString(map[bool]string{true: header(command), false: "---\n"}[i == 0])
		all.Write(body)
	}
	return all.Bytes(), nil
}

// Kustomize writes each object into a file of dir, and kustomization.yaml: for kubectl apply -k, and as a base.
func Kustomize(command string, objects []Object, dir string) ([]render.File, error) {
	kustomization := map[string]any{"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization"}
	var files []render.File
	var resources []string
	for _, object := range objects {
		body, err := object.YAML()
		if err != nil {
			return nil, err
		}
		resources = append(resources, object.file())
		files = append(files, render.File{Path: filepath.Join(dir, object.file()), Content: append([]byte(header(command)), body...)})
	}
	kustomization["resources"] = resources
	body, err := yaml.Marshal(kustomization)
	if err != nil {
		return nil, err
	}
	return append(files, render.File{Path: filepath.Join(dir, "kustomization.yaml"), Content: append([]byte(header(command)), body...)}), nil
}

// file is the name of the object's file: wasmplugin-weir.yaml. ConfigMaps of several namespaces have theirs in it.
func (o Object) file() string {
	name := strings.ToLower(o.Kind) + "-" + o.Metadata.Name
	if o.Kind == "ConfigMap" {
		name += "-" + o.Metadata.Namespace
	}
	return name + ".yaml"
}
