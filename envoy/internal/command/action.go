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

// action is a subcommand that changes a cluster in all workers of one or more Envoys, through Weir's admin listeners.
type action struct {
	use, short, long, example string
	// do sends it, and returns the response as it came.
	do func(ctx context.Context, client *status.Client, cluster string) (raw []byte, err error)
	// done says what it did, after "CLUSTER at URL": " is reset: …".
	done func() string
	// check is an error of usage of its own flags; nil: it has none.
	check func() error
}

func (a action) command() *cobra.Command {
	var asJSON bool
	var timeout time.Duration
	cmd := &cobra.Command{
		Use: a.use, Short: a.short, Long: a.long, Example: a.example,
		Args: cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			cluster := args[len(args)-1]
			clients, err := newClients(args[:len(args)-1], timeout)
			if err == nil {
				err = checkTimeout(timeout)
			}
			if err == nil && cluster == "" {
				err = errors.New("CLUSTER must not be empty")
			}
			if err == nil && a.check != nil {
				err = a.check()
			}
			if err != nil {
				return err // of usage
			}
			return work(func(cmd *cobra.Command, _ []string) error {
				var all error // one that fails does not keep the others from it
				for _, client := range clients {
					all = errors.Join(all, a.run(cmd.Context(), client, cluster, cmd.OutOrStdout(), asJSON))
				}
				return all
			})(cmd, args)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, `print the server's JSON: {"cluster", "done"}`)
	cmd.Flags().DurationVar(&timeout, "timeout", status.DefaultTimeout, "how long to wait for a response")
	return cmd
}

func (a action) run(ctx context.Context, client *status.Client, cluster string, out io.Writer, asJSON bool) error {
	raw, err := a.do(ctx, client, cluster)
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
	_, err = fmt.Fprintf(out, "%s at %s%s\n", status.Printable(cluster), client, a.done())
	return err
}
