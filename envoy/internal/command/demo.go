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
		Short: "Show a policy at work in a real Envoy, step by step",
		Long: `Start Envoy with envoy/examples/quickstart.yaml and a small upstream, send real requests, and tell what happens: allowed,
refused with 429, the breaker opening, default data, half-open, closed. The exit status is 0 only if each step was seen.

Envoy is taken from ENVOY_BIN, from PATH, or from .cache/envoy-venv (make envoy). Run it in Weir's checkout, or elsewhere
with --wasm; where its ports are taken, the same policy is rendered on free ones. Colours are for a terminal, and
not where NO_COLOR is set.`,
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
	cmd.Flags().BoolVar(&o.Keep, "keep", false, "leave it running at the end, with curl lines to try")
	return cmd
}

// isTerminal says that w is a character device, which a file and a pipe are not.
func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
