package command

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/weir-mesh/weir/envoy/internal/imported"
)

func newImport() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "import",
		Short:   "Make a policy of another program's configuration",
		Long:    "Make a policy of another program's configuration.",
		Example: "  weir import ratelimit ratelimit.yaml --envoy envoy.yaml > policy.yaml",
		Args:    onlySubcommands,
		RunE:    missingSubcommand,
	}
	cmd.AddCommand(newImportRatelimit())
	return cmd
}

func newImportRatelimit() *cobra.Command {
	var cluster, envoy string
	keys := partsFlag{}
	cmd := &cobra.Command{
		Use:   "ratelimit FILE",
		Short: "Make a policy of the rate limits of envoyproxy/ratelimit, or of Envoy's local_ratelimit filters",
		Long: `Make a policy of the rate limits of envoyproxy/ratelimit (a file of descriptors), or of the local_ratelimit filters in Envoy's
configuration, and print it. What a policy can't say is listed on standard error with its place and the reason, FILE:LINE:COL:
PATH: not converted: TEXT. A FILE of - is standard input.

A policy's limits are of clusters, and descriptors are of whatever Envoy's rate_limits actions make of a request. Name the configuration
with these actions by --envoy, or say by --key what a descriptor's key is: header:NAME, query:NAME, cookie:NAME, client_ip,
path, method, or cluster where its value is a cluster's name. The keys remote_address and destination_cluster are known.

Exit status: 0 when there is a policy, also with parts that are not converted; 1 without; 2 when the command line was wrong.`,
		Example: `  weir import ratelimit ratelimit.yaml --envoy envoy.yaml > policy.yaml
  weir import ratelimit ratelimit.yaml --key user=header:x-user --key generic_key=cluster
  weir import ratelimit envoy.yaml --cluster aws_pricing`,
		Args: cobra.ExactArgs(1),
		RunE: work(func(cmd *cobra.Command, files []string) error {
			o := imported.Options{Cluster: cluster, Keys: keys}
			var err error
			if envoy != "" {
				if o.Envoy, err = readFile(envoy, cmd.InOrStdin()); err != nil {
					return wholeFile(envoy, err)
				}
			}
			raw, err := readFile(files[0], cmd.InOrStdin())
			if err != nil {
				return wholeFile(files[0], err)
			}
			asYAML, left, err := imported.File(displayName(files[0]), raw, o)
			for _, l := range left {
				fmt.Fprintf(cmd.ErrOrStderr(), "%s:%d:%d: %s: not converted: %s\n", displayName(files[0]), l.Line, l.Column, l.Path, l.Text)
			}
			if err != nil {
				return wholeFile(files[0], err)
			}
			if asYAML == nil {
				return wholeFile(files[0], errors.New("nothing could be converted"))
			}
			_, err = cmd.OutOrStdout().Write(asYAML)
			return err
		}),
	}
	cmd.Flags().StringVar(&cluster, "cluster", "", "the cluster of limits that name none; * for every cluster")
	cmd.Flags().StringVar(&envoy, "envoy", "", "Envoy's configuration, whose rate_limits actions make the descriptors")
	cmd.Flags().Var(keys, "key", "what a descriptor's key is, as KEY=PART; may be repeated")
	return cmd
}

// partsFlag is a flag of KEY=PART that may be repeated.
type partsFlag map[string]imported.Part

func (f partsFlag) Set(s string) error {
	key, part, found := strings.Cut(s, "=")
	if !found || key == "" {
		return fmt.Errorf("want KEY=PART, got %q", s)
	}
	var err error
	f[key], err = imported.ParsePart(part)
	return err
}

func (f partsFlag) String() string {
	var pairs []string
	for key, part := range f {
		pairs = append(pairs, key+"="+string(part))
	}
	slices.Sort(pairs)
	return strings.Join(pairs, ",")
}

// Type is what `--help` shows for the value.
func (partsFlag) Type() string { return "KEY=PART" }
