package command

import "github.com/spf13/cobra"

func newRender() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "render",
		Short:   "Write the configuration around a policy",
		Long:    "Write the configuration around a policy, for the proxy that is to enforce it.",
		Example: "  weir render envoy -f policy.yaml --upstream aws_pricing=127.0.0.1:9080",
		Args:    cobra.NoArgs,
		RunE:    missingSubcommand,
	}
	cmd.AddCommand(newRenderEnvoy())
	return cmd
}
