package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	"github.com/weir-mesh/weir/envoy/internal/status"
)

func newReset() *cobra.Command {
	var asJSON bool
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "reset URL CLUSTER",
		Short: "Close a cluster's breaker, make its limit unused, and start its counts at zero",
		Long: `Reset a cluster in all workers of an Envoy, through Weir's admin listener. This closes its circuit breaker, even if an
operator forced it, makes its limit and its retry budget unused, and starts its counts at zero. A limit of scope mesh is
reset for all proxies, as soon as the filter has reached Redis. There is no confirmation. Metrics are not reset, since
Prometheus would take that for a restart.`,
		Example: `  weir reset 127.0.0.1:9902 aws_pricing
  weir reset --json 127.0.0.1:9902 aws_pricing`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := status.NewClient(args[0], timeout)
			if err == nil {
				err = checkTimeout(timeout)
			}
			if err == nil && args[1] == "" {
				err = errors.New("CLUSTER must not be empty")
			}
			if err != nil {
				return err // of usage
			}
			return work(func(cmd *cobra.Command, args []string) error {
				return reset(cmd.Context(), client, args[1], cmd.OutOrStdout(), asJSON)
			})(cmd, args)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, `print the server's JSON: {"cluster", "done"}`)
	cmd.Flags().DurationVar(&timeout, "timeout", status.DefaultTimeout, "how long to wait for a response")
	return cmd
}

func reset(ctx context.Context, client *status.Client, cluster string, out io.Writer, asJSON bool) error {
	raw, err := client.Reset(ctx, cluster)
	if err != nil {
		return err
	}
	if asJSON {
		text, err := status.JSON(raw, true)
		if err != nil {
			return err
		}
		_, err = out.Write(text)
		return err
	}
	fmt.Fprintf(out, "%s at %s is reset: its circuit breaker is closed, its limit is unused, its counts are zero\n", status.Printable(cluster), client)
	return nil
}
