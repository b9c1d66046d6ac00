package command

import "github.com/spf13/cobra"

func newRender() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "render",
		Short: "Write a proxy's configuration for a policy",
		Long:  "Write the configuration of the proxy that enforces a policy.",
		Example: `  weir render envoy -f policy.yaml --upstream aws_pricing=127.0.0.1:9080
  weir render filter -f policy.yaml --wasm /etc/envoy/weir.wasm
  weir render istio -f policy.yaml --upstream aws_pricing=pricing.example.com:443 --module oci://registry.example.com/weir:1`,
		Args: onlySubcommands,
		RunE: missingSubcommand,
	}
	cmd.AddCommand(newRenderEnvoy(), newRenderFilter(), newRenderIstio(), newRenderGateway())
	return cmd
}
