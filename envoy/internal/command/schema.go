package command

import (
	"github.com/spf13/cobra"
	"github.com/weir-mesh/weir/envoy/schema"
)

func newSchema() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of the policy document, for editors",
		Long: `Print the JSON Schema of the policy document: its keys with their meaning, defaults and bounds. An editor with the YAML
language server (VS Code with the YAML extension, Neovim, JetBrains) completes and checks a policy by it, if the policy begins with

  # yaml-language-server: $schema=weir.schema.json

What a schema can't say, such as that max_delay is at least base_delay, is said by weir validate.`,
		Example: "  weir schema > weir.schema.json",
		Args:    cobra.NoArgs,
		RunE: work(func(cmd *cobra.Command, _ []string) error {
			_, err := cmd.OutOrStdout().Write(schema.Policy)
			return err
		}),
	}
}
