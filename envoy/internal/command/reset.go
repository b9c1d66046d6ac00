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
		Short: "Close a cluster's breaker, give it its whole limit, and begin its counters anew",
		Long: `Tell Weir's admin listener to reset a cluster, for all workers of that Envoy: its circuit breaker is closed, also one
that an operator forced, its limit and its budget for retries are unused, and its counters are zero. A limit of scope
mesh is as unused for all proxies, as soon as Redis has been told. It is done at once, without a question. The metrics go
on counting, since Prometheus would take a step back for a restart.`,
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
	cmd.Flags().DurationVar(&timeout, "timeout", status.DefaultTimeout, "how long to wait for an answer")
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
	fmt.Fprintf(out, "%s at %s is reset: its circuit breaker is closed, its limit is unused, its counters are zero\n", status.Printable(cluster), client)
	return nil
}
