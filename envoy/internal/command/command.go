// Package command is the `weir` command: one file for each subcommand.
package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
)

// Exit statuses of the command.
const (
	StatusOK     = 0
	StatusFailed = 1 // the work failed; the reason is on standard error
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
		Short: "Check policies, render Envoy's configuration, show a filter's status, and serve Redis to it",
		Long: `Weir is a resilience filter for Envoy: rate limits, circuit breakers and fallback answers for each upstream cluster,
configured by one policy document. This command checks such a document, replays access logs with it, renders the Envoy
configuration for it, shows and resets the state of running filters, serves Redis over HTTP for limits that all proxies share, and demonstrates the filter.

Exit status: 0 for success, 1 when the work failed, 2 when the command line was wrong.`,
		Args:          onlySubcommands,
		RunE:          missingSubcommand,
		Version:       versionLine(debug.ReadBuildInfo()),
		SilenceErrors: true, // Run prints them
		SilenceUsage:  true,
	}
	root.SetVersionTemplate("{{.Version}}\n")
	root.SetFlagErrorFunc(suggestFlag)
	root.AddCommand(newValidate(), newSchema(), newImport(), newRender(), newReplay(), newDemo(), newBridge(), newStatus(), newReset(), newBreaker(), newCache(), newVersion())
	return root
}

// missingSubcommand is the error of usage of a command that only groups subcommands.
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
// cobra's errors are all of usage.
type failure struct{ err error }

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// lines is the text for standard error: none for errReported, the lines of a list of mistakes as they are, and any
// other error with `weir: ` before each line.
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

// errReported says that standard output already shows what failed.
var errReported = errors.New("failed")

// work wraps a subcommand's function, so that its errors are failures.
func work(run func(*cobra.Command, []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		if err := run(cmd, args); err != nil {
			return &failure{err: err}
		}
		return nil
	}
}
