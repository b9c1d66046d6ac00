package command

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/weir-mesh/weir/envoy/render"
)

func newRenderFilter() *cobra.Command {
	var file, into string
	o := render.Options{Env: map[string]string{}}
	cmd := &cobra.Command{
		Use:   "filter -f POLICY",
		Short: "Write the pieces that an envoy.yaml of your own needs for a policy",
		Long: `Write the pieces that an envoy.yaml of your own needs for a policy, each with a comment that says where it goes: the
filter and what stands before it, the removal of headers that clients must not send, the routes of retries and failover,
the labels of metrics, and with --weir-admin the admin listener. A policy names the clusters of your envoy.yaml.

With --ecds PATH the filter with its policy is written to that file, which Envoy watches: the same command again reloads
the policy without a restart. Paths are relative to the directory where Envoy is started.

With --into ENVOY_YAML it writes that whole file with the pieces put in: in every connection manager of a static listener right before
the router, and in the routes what retry and failover need. Comments and order stay. Where the file says something else than
the policy, such as retry_on of a route, it is refused by its line.

A policy with mistakes is refused. The filter replaces ${NAME} in it when it starts, from --env and --host-env.`,
		Example: `  weir render filter -f policy.yaml --wasm /etc/envoy/weir.wasm
  weir render filter -f policy.yaml --wasm /etc/envoy/weir.wasm --ecds /etc/envoy/weir.ecds.yaml --weir-admin 9902
  weir render filter -f policy.yaml --ecds weir.ecds.yaml --weir-admin 9902 --into envoy.yaml > envoy-weir.yaml`,
		Args: cobra.NoArgs,
		PreRunE: func(*cobra.Command, []string) error {
			if file == "" {
				return errors.New("the policy document is missing: add -f POLICY")
			}
			if file == standardInput && into == standardInput {
				return errors.New("-f and --into are both standard input: give one of them as a file")
			}
			if len(o.AdminHosts) > 0 && o.Admin == "" {
				return errors.New("--weir-admin-host needs --weir-admin, which adds the listener")
			}
			if err := o.CheckAdmin(); err != nil {
				return fmt.Errorf("weir admin: %w", err)
			}
			return nil
		},
		RunE: work(func(cmd *cobra.Command, _ []string) (err error) {
			same := func(json []byte) []byte { return json }
			o.Document, o.Policy, err = readPolicy(file, Streams{In: cmd.InOrStdin(), Err: cmd.ErrOrStderr()}, o.Getenv, same)
			if err != nil {
				return err
			}
			warnAdmin(o, cmd.ErrOrStderr())
			pieces, err := filterPieces(o, into, Streams{In: cmd.InOrStdin(), Err: cmd.ErrOrStderr()})
			if err != nil {
				return err
			}
			if o.ECDS != "" {
				if isSame(into, o.ECDS) {
					return fmt.Errorf("%s is the file of --into and would be overwritten; choose another FILE for --ecds", o.ECDS)
				}
				watched, err := render.ECDSPiece(o)
				if err != nil {
					return err
				}
				// Standard output is for the pieces.
				if err := writeFiles([]render.File{watched}, file, cmd.ErrOrStderr(), never); err != nil {
					return err
				}
			}
			_, err = cmd.OutOrStdout().Write(pieces)
			return err
		}),
	}
	flags := cmd.Flags()
	flags.StringVarP(&file, "file", "f", "", "the policy document, YAML or JSON; - is standard input")
	flags.StringVar(&into, "into", "", "write this `ENVOY_YAML` with the pieces put in, instead of the pieces; - is standard input")
	flags.StringVar(&o.Wasm, "wasm", render.DefaultWasm, "path of weir.wasm, as Envoy opens it")
	flags.StringVar(&o.ECDS, "ecds", "", "write the filter to this file, which Envoy watches; default: it is among the pieces")
	flags.StringVar(&o.Admin, "weir-admin", "",
		"where Weir's own admin interface listens, IP:PORT, or PORT on 127.0.0.1; keep it private; default: no such listener")
	flags.StringArrayVar(&o.AdminHosts, "weir-admin-host", nil,
		"another host name that browsers may use for Weir's admin interface, besides addresses and private names; may be repeated")
	flags.Var(environmentFlag(o.Env), "env", "a variable for ${NAME}, as NAME=VALUE; may be repeated")
	flags.StringArrayVar(&o.HostEnv, "host-env", nil, "a variable of Envoy's environment for ${NAME}; may be repeated")
	flags.BoolVar(&o.StringValue, "string-value", false, "write the policy as a JSON string, as Istio does")
	return cmd
}

// filterPieces are the pieces, or the whole of a file that they are put into.
func filterPieces(o render.Options, into string, streams Streams) ([]byte, error) {
	pieces, err := render.Pieces(o)
	if into == "" || err != nil { // a mistake of the policy or the command line is none of the file
		return pieces, err
	}
	envoy, err := readFile(into, streams.In)
	if err != nil {
		return nil, wholeFile(into, err)
	}
	if len(bytes.TrimSpace(envoy)) == 0 {
		return nil, wholeFile(into, errors.New("the file is empty; a shell empties it before weir reads it where > writes to the same file: write to another one"))
	}
	whole, warned, err := render.Into(envoy, o)
	if err != nil {
		return nil, wholeFile(into, err)
	}
	for _, w := range warned {
		fmt.Fprintf(streams.Err, "weir: warning: %s: %s\n", displayName(into), w)
	}
	return whole, nil
}
