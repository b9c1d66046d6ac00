package command

import (
	"io"
	"os"

	"github.com/spf13/cobra"
	"github.com/weir-mesh/weir/envoy/internal/demo"
	"github.com/weir-mesh/weir/envoy/render"
)

func newDemo() *cobra.Command {
	var o demo.Options
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Demonstrate a policy in a real Envoy, step by step",
		Long: `Start Envoy with envoy/examples/quickstart.yaml and a small upstream, send real requests, and print what happens: allowed,
refused with 429, the breaker opening, default data, half-open, closed. The exit status is 0 only if every check passed.

The demo uses the Envoy of ENVOY_BIN, of PATH, or of .cache/envoy-venv (make envoy). Run it in Weir's checkout, or
elsewhere with --wasm. If its ports are in use, it renders the same policy with free ports. Output to a terminal has
colours, unless NO_COLOR is set.`,
		Example: `  weir demo
  weir demo --keep --wasm /opt/weir/weir.wasm`,
		Args: cobra.NoArgs,
		RunE: work(func(cmd *cobra.Command, _ []string) error {
			o.Out = cmd.OutOrStdout()
			o.Color = os.Getenv("NO_COLOR") == "" && isTerminal(o.Out)
			return demo.Run(cmd.Context(), o)
		}),
	}
	cmd.Flags().StringVar(&o.Wasm, "wasm", render.DefaultWasm, "path of weir.wasm")
	cmd.Flags().BoolVar(&o.Keep, "keep", false, "keep Envoy running at the end, and print curl commands to try")
	return cmd
}

// isTerminal says that w is a character device: a terminal, not a file or a pipe.
func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
