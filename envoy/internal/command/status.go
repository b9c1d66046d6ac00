package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/weir-mesh/weir/envoy/internal/status"
)

// shortestWatch keeps --watch from becoming a load test.
const shortestWatch = 100 * time.Millisecond

func newStatus() *cobra.Command {
	o := statusOptions{timeout: status.DefaultTimeout}
	var failOn []string
	cmd := &cobra.Command{
		Use:   "status URL [CLUSTER]",
		Short: "Show the state of each cluster: what is refused, why, since when",
		Long: `Print the state of all clusters as a table, the cluster with the worst trouble first, with the reason in a sentence. With
CLUSTER: all details of that one. URL is the address of Weir's admin listener, as http://HOST:PORT or HOST:PORT: a plugin
with {"admin": {}}, which ` + "`weir render envoy --weir-admin HOST:PORT`" + ` writes.

  open           its circuit breaker is open and refuses all requests (forced open: by an operator)
  no host        upstream has no healthy host
  half-open      its circuit breaker admits a few probes
  full           its bulkhead is full
  limited        its limit is used up at this moment
  lowered        its adaptive limit went down
  forced closed  an operator forced its circuit breaker closed: failures do not open it
  shadow         its policy decides, but does not act
  ok, off

--json prints the server's JSON instead, with --watch one document a line.
--fail-on STATES makes the exit status 1 where a cluster is in one of them, and names it on standard error, for scripts.
--watch prints it every two seconds until Ctrl-C, --watch=500ms at another interval. On a terminal it replaces what was
printed before. It reports a failed request and goes on.
It prints colours on a terminal, unless NO_COLOR is set.`,
		Example: `  weir status 127.0.0.1:9902
  weir status 127.0.0.1:9902 aws_pricing
  weir status --watch http://127.0.0.1:9902
  weir status --fail-on open,no-host 127.0.0.1:9902
  weir status --json 127.0.0.1:9902 | jq '.clusters[].circuit_breaker.state'`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.check(cmd.Flags().Changed("watch"), args); err != nil {
				return err // of usage
			}
			var err error
			if o.failOn, err = status.ParseStates(failOn); err != nil {
				return fmt.Errorf("--fail-on: %w", err)
			}
			if len(failOn) > 0 && o.watch > 0 {
				return errors.New("--fail-on: leave out --watch, which does not end")
			}
			client, err := status.NewClient(args[0], o.timeout)
			if err != nil {
				return err
			}
			cluster := ""
			if len(args) == 2 {
				cluster = args[1]
			}
			return work(func(cmd *cobra.Command, _ []string) error {
				return o.run(cmd.Context(), client, cluster, cmd.OutOrStdout(), cmd.ErrOrStderr())
			})(cmd, args)
		},
	}
	cmd.Flags().BoolVar(&o.asJSON, "json", false, "print the server's JSON")
	cmd.Flags().StringSliceVar(&failOn, "fail-on", nil, "exit with status 1 if a cluster is in one of these `STATES`, as open,no-host")
	cmd.Flags().DurationVar(&o.watch, "watch", 0, "print it again at this interval")
	cmd.Flags().Lookup("watch").NoOptDefVal = "2s"
	cmd.Flags().DurationVar(&o.timeout, "timeout", status.DefaultTimeout, "how long to wait for a response")
	return cmd
}

type statusOptions struct {
	asJSON         bool
	failOn         []status.State
	watch, timeout time.Duration
}

// check validates the command line, except the URL.
func (o statusOptions) check(watching bool, args []string) error {
	for _, arg := range args {
		if arg == "" {
			return errors.New("URL and CLUSTER must not be empty")
		}
		if _, err := time.ParseDuration(arg); err == nil && watching {
			return fmt.Errorf("%s is not a URL: write --watch=%s", arg, arg)
		}
	}
	if watching && o.watch < shortestWatch {
		return fmt.Errorf("--watch: must be at least %v", shortestWatch)
	}
	return checkTimeout(o.timeout)
}

func checkTimeout(d time.Duration) error {
	if d <= 0 {
		return errors.New("--timeout: must be more than 0")
	}
	return nil
}

func (o statusOptions) run(ctx context.Context, client *status.Client, cluster string, out, errs io.Writer) error {
	screen := isTerminal(out) && os.Getenv("TERM") != "dumb"
	show := func() error {
		text, found, err := o.text(ctx, client, cluster, screen && os.Getenv("NO_COLOR") == "")
		if err != nil {
			return err
		}
		if o.watch > 0 && screen && !o.asJSON {
			text = overScreen(text)
		}
		if _, err = out.Write(text); err == nil && len(found) > 0 {
			err = errors.New(strings.Join(found, ", "))
		}
		return err
	}
	if err := show(); err != nil || o.watch == 0 {
		return unlessInterrupted(ctx, o.watch, err)
	}
	ticker := time.NewTicker(o.watch)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		if !screen && !o.asJSON {
			fmt.Fprintln(out)
		}
		if err := show(); err != nil && ctx.Err() == nil {
			// A watch may run for days: it survives a restart of Envoy.
			fmt.Fprintf(errs, "weir: %s: %v\n", time.Now().UTC().Format(time.RFC3339), err)
		}
	}
}

// unlessInterrupted drops the error of a watch that the user ended with Ctrl-C.
func unlessInterrupted(ctx context.Context, watch time.Duration, err error) error {
	if watch > 0 && ctx.Err() != nil {
		return nil
	}
	return err
}
