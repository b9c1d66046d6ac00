package command

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/weir-mesh/weir/envoy/internal/status"
)

func newReset() *cobra.Command {
	return action{
		use:   "reset URL... CLUSTER",
		short: "Close a cluster's breaker, make its limit unused, and start its counts at zero",
		long: `Reset a cluster in all workers of an Envoy, through Weir's admin listener. This closes its circuit breaker, even if an
operator forced it, makes its limit and its retry budget unused, and starts its counts at zero. A limit of scope mesh is
reset for all proxies, as soon as the filter has reached Redis. There is no confirmation. Metrics are not reset, since
Prometheus would take that for a restart.`,
		example: `  weir reset 127.0.0.1:9902 aws_pricing
  weir reset --json 127.0.0.1:9902 aws_pricing
  weir reset 10.0.0.1:9902 10.0.0.2:9902 aws_pricing`,
		do: func(ctx context.Context, client *status.Client, cluster string) ([]byte, error) {
			return client.Reset(ctx, cluster)
		},
		done: func() string {
			return " is reset: its circuit breaker is closed, its limit is unused, its counts are zero"
		},
	}.command()
}
