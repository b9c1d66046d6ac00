// Command image writes Weir's images as OCI image layouts, without a container engine, and pushes them. `make image` runs it.
//
//	weir.wasm ──┬──► plugin/            one layer, a tar with plugin.wasm: Istio, Envoy Gateway     plugin.go
//	            ├──► plugin-artifact/   the module itself as a layer, and its SBOM                  plugin.go
//	weir-ARCH ──┴──► weir/              the command and the module for each platform                command.go
//	                 *.cdx.json         what each is made of, by CycloneDX                          sbom.go
//
// The same commit has the same bytes: all times are the commit's, files are in a fixed order and belong to one user, and serial
// numbers come from what they number.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/pflag"

	"github.com/weir-mesh/weir/filter/version"
)

// errUsage is the error of another command line than these. write writes the images into --output. push sends one of them to a
// registry, with the login of ~/.docker/config.json, and prints its name by digest.
var errUsage = errors.New("usage: image write --module weir.wasm --command linux/amd64=weir ..., or image push LAYOUT REFERENCE...; image write --help lists the flags")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "image: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	switch {
	case len(args) > 0 && args[0] == "write":
		return write(args[1:], out)
	case len(args) > 2 && args[0] == "push":
		return push(ctx, args[1], args[2:], out)
	}
	return errUsage
}

// Options are what images are made of.
type Options struct {
	Module   string            // weir.wasm
	Commands map[string]string // the static weir command by platform: linux/amd64
	Source   string            // the checkout, whose go.mod tells what the module is made of
	Output   string
	Revision string    // the commit
	Created  time.Time // when it was made
	Version  string
}

func write(args []string, out io.Writer) error {
	var o Options
	var created int64
	var commands []string
	flags := pflag.NewFlagSet("write", pflag.ContinueOnError)
	flags.StringVar(&o.Module, "module", "", "the module")
	flags.StringArrayVar(&commands, "command", nil, "the command of a platform, as OS/ARCH=FILE; may be repeated")
	flags.StringVar(&o.Source, "source", ".", "the checkout that they were built from")
	flags.StringVar(&o.Output, "output", "build/images", "the folder")
	flags.StringVar(&o.Revision, "revision", "", "the commit")
	flags.Int64Var(&created, "time", 0, "the commit's time, or SOURCE_DATE_EPOCH: seconds since 1970")
	if err := flags.Parse(args); err != nil {
		return err
	}
	o.Created, o.Version, o.Commands = time.Unix(created, 0).UTC(), version.Version, map[string]string{}
	for _, c := range commands {
		platform, file, ok := strings.Cut(c, "=")
		if !ok || !strings.Contains(platform, "/") {
			return fmt.Errorf("--command: want OS/ARCH=FILE, got %q", c)
		}
		o.Commands[platform] = file
	}
	written, err := Write(o)
	for _, w := range written {
		fmt.Fprintf(out, "%-40s %10d bytes  %s\n", w.Path, w.Size, w.Digest)
	}
	return err
}
