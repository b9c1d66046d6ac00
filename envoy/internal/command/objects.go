package command

import (
	"errors"
	"io"
	"os"

	"github.com/spf13/pflag"

	"github.com/weir-mesh/weir/envoy/kube"
	"github.com/weir-mesh/weir/envoy/render"
)

// objectsTarget is where Kubernetes objects are written: to a file, to a kustomization, or without either to standard output.
type objectsTarget struct{ file, dir string }

func (t *objectsTarget) flags(flags *pflag.FlagSet) {
	flags.StringVarP(&t.file, "output", "o", "", "write all objects to this file")
	flags.StringVar(&t.dir, "output-dir", "", "write a kustomization to this directory")
}

func (t *objectsTarget) check() error {
	if t.file != "" && t.dir != "" {
		return errors.New("-o and --output-dir exclude each other: give one of them")
	}
	return nil
}

// write writes the objects of a command. The policy's file is never overwritten.
func (t *objectsTarget) write(command string, objects []kube.Object, policy string, out io.Writer) error {
	if t.dir != "" {
		files, err := kube.Kustomize(command, objects, t.dir)
		if err != nil {
			return err
		}
		if err := os.MkdirAll(t.dir, 0o755); err != nil {
			return err
		}
		return writeFiles(files, policy, out, never)
	}
	body, err := kube.YAML(command, objects)
	if err != nil {
		return err
	}
	if t.file != "" {
		return writeFiles([]render.File{{Path: t.file, Content: body}}, policy, out, never)
	}
	_, err = out.Write(body)
	return err
}

// never is for files that no Envoy reads by itself.
func never(render.File) bool { return false }
