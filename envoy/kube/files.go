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

// WrittenBy says whether a file is a command's.
func WrittenBy(command string, text []byte) bool {
	return bytes.HasPrefix(text, []byte(header(command)))
}

// IsOther says whether a file that is to be replaced is not one of a command's, as a values.yaml or kustomization.yaml of the user.
func IsOther(command string, text []byte) bool {
	return len(text) > 0 && !bytes.Contains(text, []byte("Written by weir "+command+".")) // Chart.yaml has it in its description
}

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
	for i, name := range fileNames(objects) {
		body, err := objects[i].YAML()
		if err != nil {
			return nil, err
		}
		resources = append(resources, name)
		files = append(files, render.File{Path: filepath.Join(dir, name), Content: append([]byte(header(command)), body...)})
	}
	kustomization["resources"] = resources
	body, err := yaml.Marshal(kustomization)
	if err != nil {
		return nil, err
	}
	return append(files, render.File{Path: filepath.Join(dir, "kustomization.yaml"), Content: append([]byte(header(command)), body...)}), nil
}

// fileNames are the names of the objects' files: wasmplugin-weir.yaml. Objects of one kind and name have their namespaces in them.
func fileNames(objects []Object) (names []string) {
	same := map[string]int{}
	for _, o := range objects {
		same[o.Kind+"/"+o.Metadata.Name]++
	}
	for _, o := range objects {
		name := strings.ToLower(o.Kind) + "-" + o.Metadata.Name
		if o.Kind == "ConfigMap" || same[o.Kind+"/"+o.Metadata.Name] > 1 {
			name += "-" + o.Metadata.Namespace
		}
		names = append(names, name+".yaml")
	}
	return names
}
