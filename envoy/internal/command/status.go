package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
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
		Use:   "status URL... [CLUSTER]",
		Short: "Show the state of each cluster: what is refused, why, since when",
		Long: `Print the state of all clusters as a table, with the reason in a sentence. First are those from which clients suffer most:
by the order of magnitude of the requests that were not admitted or failed in the last minute, then by state as below, then
by name (--sort name: by name alone). For that, and for the rates, it asks twice, a second apart; with --watch it looks back
over up to a minute. --over=0 asks once, without rates. SUCCESS is since Weir started in that Envoy, or the last reset. With
CLUSTER: all details of that one. URL is the address of Weir's admin listener, as http://HOST:PORT or HOST:PORT: a plugin
with {"admin": {}}, which ` + "`weir render envoy --weir-admin HOST:PORT`" + ` writes. Of several URLs: one table of all their clusters, with CLUSTER
of that one. What comes after the first URL and is neither HOST:PORT nor has :// in it is CLUSTER.

  open           its circuit breaker is open and refuses all requests (forced open: by an operator)
  no host        upstream has no healthy host
  denied         Redis is down and redis.on_error is deny: nothing is admitted
  half-open      its circuit breaker admits a few probes
  full           its bulkhead is full
  limited        its limit is used up at this moment
  failing        a tenth of the admitted requests failed within the time that it measured, or more
  without Redis  Redis is down: by redis.on_error each proxy limits by itself, or nothing does
  lowered        its adaptive limit went down
  forced closed  an operator forced its circuit breaker closed: failures do not open it
  shadow         its policy decides, but does not act
  ok, off

--json prints the server's JSON instead, with --watch one document a line; of several URLs an object with one entry for each.
--format flat prints one flat object for each cluster, with the names of Python's get_service_health and get_rate_limit_status:
state, failure_count, requests_per_minute, success_rate and so on.
--fail-on STATES makes the exit status 1 where a cluster is in one of them, and names it on standard error, for scripts. It is 1
too where a URL does not answer.
--watch prints it every two seconds until Ctrl-C, --watch=500ms at another interval. On a terminal it replaces what was
printed before. It reports a failed request and goes on.
It prints colours on a terminal, unless NO_COLOR is set.`,
		Example: `  weir status 127.0.0.1:9902
  weir status 127.0.0.1:9902 aws_pricing
  weir status --watch http://127.0.0.1:9902
  weir status --fail-on open,no-host 127.0.0.1:9902
  weir status --json 127.0.0.1:9902 | jq '.clusters[].circuit_breaker.state'
  weir status --format flat 127.0.0.1:9902 aws_pricing | jq '.state, .failure_count'
  weir status 10.0.0.1:9902 10.0.0.2:9902 10.0.0.3:9902`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.check(cmd.Flags().Changed("watch"), args); err != nil {
				return err // of usage
			}
			var err error
			if o.failOn, err = status.ParseStates(failOn); err != nil {
				return fmt.Errorf("--fail-on: %w", err)
			}
			if o.over == 0 && slices.Contains(o.failOn, status.Failing) {
				return errors.New("--fail-on failing: leave out --over 0, since one status does not say what fails now")
			}
			if len(failOn) > 0 && o.watch > 0 {
				return errors.New("--fail-on: leave out --watch, which does not end")
			}
			if o.asJSON {
				if cmd.Flags().Changed("format") && o.format != inJSON {
					return errors.New("--json and --format: leave one out")
				}
				o.format = inJSON
			}
			addresses, cluster, err := o.targets(args)
			if err != nil {
				return err
			}
			clients, err := newClients(addresses, o.timeout)
			if err != nil {
				return err
			}
			return work(func(cmd *cobra.Command, _ []string) error {
				return o.run(cmd.Context(), clients, cluster, cmd.OutOrStdout(), cmd.ErrOrStderr())
			})(cmd, args)
		},
	}
	cmd.Flags().BoolVar(&o.asJSON, "json", false, "print the server's JSON, as --format json")
	formats := map[string]statusFormat{"table": inTable, "json": inJSON, "flat": inFlat}
	cmd.Flags().Var(choice(&o.format, "table|json|flat", formats), "format", "how to print it")
	cmd.Flags().StringSliceVar(&failOn, "fail-on", nil, "exit with status 1 if a cluster is in one of these `STATES`, as open,no-host")
	cmd.Flags().DurationVar(&o.watch, "watch", 0, "print it again at this interval")
	cmd.Flags().Lookup("watch").NoOptDefVal = "2s"
	cmd.Flags().DurationVar(&o.over, "over", time.Second, "measure requests a second over this time; 0: do not")
	sorts := map[string]bool{"impact": false, "name": true}
	cmd.Flags().Var(choice(&o.byName, "impact|name", sorts), "sort", "the order of the clusters")
	cmd.Flags().DurationVar(&o.timeout, "timeout", status.DefaultTimeout, "how long to wait for a response")
	return cmd
}

// statusFormat is how a status is printed.
type statusFormat int

const (
	inTable statusFormat = iota
	inJSON               // as the server's
	inFlat               // see status.Flat
)

type statusOptions struct {
	asJSON         bool
	format         statusFormat
	failOn         []status.State
	watch, timeout time.Duration
	over           time.Duration // two statuses are that far apart; 0: one is enough
	byName         bool
	recent         *status.Recent
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
	if o.over < 0 || o.over > time.Minute {
		return errors.New("--over: must be 0 to 1m")
	}
	if watching && o.watch < shortestWatch {
		return fmt.Errorf("--watch: must be at least %v", shortestWatch)
	}
	return checkTimeout(o.timeout)
}

// targets are the addresses among the arguments, and the cluster, "" for all.
func (o statusOptions) targets(args []string) (addresses []string, cluster string, err error) {
	for i, arg := range args {
		switch {
		case i == 0 || isAddress(arg):
			if cluster != "" {
				return nil, "", fmt.Errorf("%s: write URLs before CLUSTER (%s)", arg, cluster)
			}
			addresses = append(addresses, arg)
		case cluster != "":
			return nil, "", fmt.Errorf("accepts one CLUSTER, got %s and %s", cluster, arg)
		default:
			cluster = arg
		}
	}
	return addresses, cluster, nil
}

// isAddress reports whether an argument is an address of a listener, not the name of a cluster: outbound|80||host is one, and
// so is a name in which a number follows a colon only within other words.
func isAddress(arg string) bool {
	if strings.Contains(arg, "://") {
		return true
	}
	_, port, err := net.SplitHostPort(strings.TrimSuffix(arg, "/"))
	if err != nil {
		return false
	}
	_, err = strconv.ParseUint(port, 10, 16)
	return err == nil
}

func newClients(addresses []string, timeout time.Duration) (clients []*status.Client, err error) {
	for _, address := range addresses {
		client, err := status.NewClient(address, timeout)
		if err != nil {
			return nil, err
		}
		clients = append(clients, client)
	}
	return clients, nil
}

func checkTimeout(d time.Duration) error {
	if d <= 0 {
		return errors.New("--timeout: must be more than 0")
	}
	return nil
}

func (o statusOptions) run(ctx context.Context, clients []*status.Client, cluster string, out, errs io.Writer) error {
	o.recent = &status.Recent{}
	if o.watch == 0 && o.over > 0 && (o.format == inTable || slices.Contains(o.failOn, status.Failing)) {
		if text, _, err := o.text(ctx, clients, cluster, false); len(text) == 0 {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(o.over):
		}
	}
	screen := isTerminal(out) && os.Getenv("TERM") != "dumb"
	show := func() error {
		text, found, err := o.text(ctx, clients, cluster, screen && os.Getenv("NO_COLOR") == "")
		if len(text) == 0 {
			return err
		}
		if o.watch > 0 && screen && o.format == inTable {
			text = overScreen(text)
		}
		if _, failed := out.Write(text); failed != nil {
			return failed
		}
		if o.watch > 0 {
			return nil // what was printed says which of several Envoys did not answer
		}
		if len(found) > 0 {
			err = errors.Join(errors.New(strings.Join(found, ", ")), err)
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
		if !screen && o.format == inTable {
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
