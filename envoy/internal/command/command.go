// Package command is the `weir` command: one file for each subcommand.
package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// Exit statuses of the command.
const (
	StatusOK     = 0
	StatusFailed = 1 // what was asked for did not succeed; the reason is on standard error
	StatusUsage  = 2 // the command line itself was wrong
)

// Streams are what the command reads and writes.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
}

// Run executes one command line (without the program's name) and returns its exit status.
func Run(ctx context.Context, args []string, s Streams) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(s.In)
	root.SetOut(s.Out)
	root.SetErr(s.Err)
	ran, err := root.ExecuteContextC(ctx)
	if err == nil {
		return StatusOK
	}
	var failed *failure
	if !errors.As(err, &failed) {
		fmt.Fprintf(s.Err, "weir: %v\nSee '%s --help'.\n", err, ran.CommandPath())
		return StatusUsage
	}
	for _, line := range failed.lines() {
		fmt.Fprintln(s.Err, line)
	}
	return StatusFailed
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "weir",
		Short: "Checks and renders Weir's configuration for Envoy, bridges it to Redis, and shows it at work",
		Long: `Weir is a resilience filter for Envoy: rate limits, circuit breakers and fallback answers for each upstream cluster,
by one policy document. This command checks such a document, renders the Envoy configuration around it, serves Redis to
it over HTTP for limits that all proxies share, and shows the whole at work.

Exit status: 0 when all went well, 1 when something failed, 2 when the command line was wrong.`,
		Args:          cobra.NoArgs,
		RunE:          missingSubcommand,
		SilenceErrors: true, // Run prints them
		SilenceUsage:  true,
	}
	root.AddCommand(newValidate(), newRender(), newDemo(), newBridge(), newStatus(), newReset())
	return root
}

// missingSubcommand answers a command that only holds others with its help, as an error of usage.
func missingSubcommand(cmd *cobra.Command, _ []string) error {
	var names []string
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() {
			names = append(names, sub.Name())
		}
	}
	return fmt.Errorf("name a subcommand: %s", strings.Join(names, ", "))
}

// failure is an error of the work itself, as opposed to one of usage. Only a subcommand's own code makes one, so
// whatever cobra complains of is usage.
type failure struct{ err error }

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// lines are what is printed: nothing for errReported, each line of a list of mistakes as it is, `weir: ` before
// everything else.
func (f *failure) lines() []string {
	var mistakes fileMistakes
	switch {
	case errors.Is(f.err, errReported):
		return nil
	case errors.As(f.err, &mistakes):
		return mistakes.lines()
	default:
		lines := strings.Split(f.err.Error(), "\n")
		for i := range lines {
			lines[i] = "weir: " + lines[i]
		}
		return lines
	}
}

// errReported says that the output has told already what failed.
var errReported = errors.New("failed")

// work makes a subcommand's function one whose errors are failures.
func work(run func(*cobra.Command, []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		if err := run(cmd, args); err != nil {
			return &failure{err: err}
		}
		return nil
	}
}
