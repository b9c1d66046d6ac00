package command

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/weir-mesh/weir/envoy/internal/status"
)

func newBreaker() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "breaker",
		Short: "Force a cluster's circuit breaker open or closed, or let it decide again",
		Long: `Force a cluster's circuit breaker in all workers of an Envoy, through Weir's admin listener. It stays so, whatever
upstream answers, over reloads too, until "weir breaker auto" or "weir reset".`,
		Example: `  weir breaker open 127.0.0.1:9902 aws_pricing
  weir breaker auto 127.0.0.1:9902 aws_pricing`,
		Args: onlySubcommands,
		RunE: missingSubcommand,
	}
	for _, a := range []struct{ name, short, done string }{
		{"open", "Send no request to the cluster, until auto", ": its circuit breaker is forced open: requests get a fallback or 503, until `weir breaker auto`"},
		{"close", "Let all requests pass, whatever upstream answers, until auto", ": its circuit breaker is forced closed, whatever upstream answers, until `weir breaker auto`"},
		{"auto", "Let the breaker decide again", ": its circuit breaker decides again, by its policy"},
	} {
		cmd.AddCommand(action{
			use: a.name + " URL... CLUSTER", short: a.short, long: a.short + ". See `weir breaker --help`.",
			example: "  weir breaker " + a.name + " 127.0.0.1:9902 aws_pricing",
			do: func(ctx context.Context, client *status.Client, cluster string) ([]byte, error) {
				return client.Breaker(ctx, cluster, a.name)
			},
			done: func() string { return a.done },
		}.command())
	}
	return cmd
}
