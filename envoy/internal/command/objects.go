package command

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/weir-mesh/weir/envoy/kube"
	"github.com/weir-mesh/weir/envoy/render"
)

// The forms of Kubernetes objects.
const (
	formByTarget  = ""
	formYAML      = "yaml"
	formKustomize = "kustomize"
	formHelm      = "helm"
)

// objectsCommand is what the commands have in common that write a policy as Kubernetes objects.
type objectsCommand struct {
	name    string // render istio
	policy  string // the policy's file
	options *kube.Options

	form      string
	file, dir string // where the objects are written; without either to standard output
}

// flags adds those of the common options. proxy is whose environment --host-env reads.
func (c *objectsCommand) flags(flags *pflag.FlagSet, proxy string) {
	o := c.options
	flags.StringVarP(&c.policy, "file", "f", "", "the policy document, YAML or JSON; - is standard input")
	flags.StringVar(&o.SHA256, "sha256", "", "checksum of the module or its image, in hexadecimal")
	flags.StringVar(&o.ImagePullSecret, "image-pull-secret", "", "the Secret to pull the image with, in the same namespace")
	flags.StringVar(&o.Name, "name", o.Name, "name of the objects")
	flags.StringArrayVar(&o.HostEnv, "host-env", nil, "a variable of "+proxy+"'s environment for ${NAME}; may be repeated")
	flags.StringVar(&o.Admin, "weir-admin", "", "port of Weir's admin interface on each pod's 127.0.0.1; default: no such listener")
	flags.StringArrayVar(&o.AdminHosts, "weir-admin-host", nil,
		"another host name that browsers may use for Weir's admin interface, besides addresses and private names; may be repeated")
	flags.StringVar(&o.Bridge, "bridge", "", "image of the weir command: deploy the bridge to Redis for limits of scope mesh")
	flags.StringVar(&o.BridgeSecret, "bridge-secret", o.BridgeSecret, "the Secret with REDIS_URL for the bridge, and WEIR_BRIDGE_TOKEN if the policy has a token")
	flags.StringVar(&o.Redis, "redis", "", "a bridge that is there already, HOST:PORT, instead of --bridge")
	flags.Var(choice(&c.form, "FORM", map[string]string{formYAML: formYAML, formKustomize: formKustomize, formHelm: formHelm}), "form",
		"yaml, or in the directory of --output-dir kustomize or helm; default: kustomize with --output-dir, else yaml")
	flags.StringVarP(&c.file, "output", "o", "", "write all objects to this file")
	flags.StringVar(&c.dir, "output-dir", "", "write a kustomization, or with --form helm a chart, to this directory")
}

// check returns a mistake in the command line, or nil.
func (c *objectsCommand) check(noModule string) error {
	switch {
	case c.policy == "":
		return errors.New("the policy document is missing: add -f POLICY")
	case c.options.Module == "":
		return errors.New("the module is missing: add --module URL. " + noModule)
	case len(c.options.AdminHosts) > 0 && c.options.Admin == "":
		return errors.New("--weir-admin-host needs --weir-admin, which adds the listener")
	case c.file != "" && c.dir != "":
		return errors.New("-o and --output-dir exclude each other: give one of them")
	case c.dir == "" && (c.form == formKustomize || c.form == formHelm):
		return fmt.Errorf("--form %s is a directory: add --output-dir DIR", c.form)
	case c.dir != "" && c.form == formYAML:
		return errors.New("--form yaml is one file: give -o FILE instead of --output-dir")
	}
	return nil
}

// run reads the policy and writes what chart makes of it.
func (c *objectsCommand) run(cmd *cobra.Command, getenv lookup, named func(json []byte) []byte, chart func() (kube.Chart, []string, error)) (err error) {
	c.options.Document, c.options.Policy, err = readPolicy(c.policy, Streams{In: cmd.InOrStdin(), Err: cmd.ErrOrStderr()}, getenv, named)
	if err != nil {
		return err
	}
	rendered, warnings, err := chart()
	if err != nil {
		return err
	}
	for _, warning := range warnings {
		fmt.Fprintf(cmd.ErrOrStderr(), "weir: warning: %s\n", warning)
	}
	return c.write(rendered, cmd.OutOrStdout())
}

// write writes the objects. The policy's file is never overwritten.
func (c *objectsCommand) write(chart kube.Chart, out io.Writer) error {
	if c.dir == "" {
		body, err := kube.YAML(c.name, chart.Plain)
		if err != nil {
			return err
		}
		if c.file != "" {
			return writeFiles([]render.File{{Path: c.file, Content: body}}, c.policy, out, never)
		}
		_, err = out.Write(body)
		return err
	}
	files, err := c.files(chart)
	if err != nil {
		return err
	}
	if err := c.checkOthers(files); err != nil {
		return err
	}
	for _, file := range files {
		if err := os.MkdirAll(filepath.Dir(file.Path), 0o755); err != nil {
			return fmt.Errorf("the directory of --output-dir can't be made: %w; give another one", err)
		}
	}
	if err := writeFiles(files, c.policy, out, never); err != nil || c.form != formHelm {
		return err
	}
	return removeTemplates(c.name, filepath.Join(c.dir, "templates"), files, out)
}

// checkOthers refuses to replace files that the command did not write.
func (c *objectsCommand) checkOthers(files []render.File) error {
	var errs []error
	for _, file := range files {
		if text, err := os.ReadFile(file.Path); err == nil && kube.IsOther(c.name, text) {
			errs = append(errs, fmt.Errorf("%s is there, was not written by weir %s, and would be overwritten; choose another --output-dir, or move the file", file.Path, c.name))
		}
	}
	return errors.Join(errs...)
}

func (c *objectsCommand) files(chart kube.Chart) ([]render.File, error) {
	if c.form == formHelm {
		return chart.Files(c.dir)
	}
	return kube.Kustomize(c.name, chart.Plain, c.dir)
}

// removeTemplates removes what the command wrote before and does not write now: Helm would go on to apply it.
func removeTemplates(command, dir string, written []render.File, out io.Writer) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	keep := map[string]bool{}
	for _, file := range written {
		keep[file.Path] = true
	}
	for _, entry := range entries {
		path := filepath.Join(dir, entry.Name())
		if keep[path] || !entry.Type().IsRegular() {
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if !kube.WrittenBy(command, text) {
			continue
		}
		if err := os.Remove(path); err != nil {
			return err
		}
		fmt.Fprintf(out, "removed %s\n", path)
	}
	return nil
}

// never is for files that no Envoy reads by itself.
func never(render.File) bool { return false }
