package command

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weir-mesh/weir/envoy/internal/status"
)

func newCache() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "cache",
		Short:   "Drop a cluster's kept answers",
		Long:    "Drop the answers that Weir has kept of a cluster as a fallback.",
		Example: "  weir cache invalidate 127.0.0.1:9902 aws_pricing",
		Args:    onlySubcommands,
		RunE:    missingSubcommand,
	}
	cmd.AddCommand(newInvalidate())
	return cmd
}

func newInvalidate() *cobra.Command {
	var path string
	cmd := action{
		use:   "invalidate URL... CLUSTER",
		short: "Drop a cluster's kept answers, all of them or those of one path",
		long: `Drop the answers that Weir has kept of a cluster, in all workers of an Envoy, through Weir's admin listener. No request
gets them any more, also not those that are in flight. New answers are kept from now on.`,
		example: `  weir cache invalidate 127.0.0.1:9902 aws_pricing
  weir cache invalidate --path /v1/prices 127.0.0.1:9902 aws_pricing`,
		do: func(ctx context.Context, client *status.Client, cluster string) ([]byte, error) {
			return client.Invalidate(ctx, cluster, path)
		},
		done: func() string {
			if path == "" {
				return ": its kept answers are dropped"
			}
			return ": its kept answers of " + status.Printable(path) + " are dropped"
		},
		check: func() error {
			if path != "" && !strings.HasPrefix(path, "/") {
				return errors.New("--path must begin with /, and have no query: it is compared with the path of requests")
			}
			return nil
		},
	}.command()
	cmd.Flags().StringVar(&path, "path", "", "only answers of this `/PATH`, whatever their query")
	return cmd
}
