package command

import (
	"fmt"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
	"github.com/weir-mesh/weir/filter/version"
)

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Show the version of this command",
		Long:    "Show the version of this command, the revision it was built from, and the Go release that built it.",
		Example: "  weir version",
		Args:    cobra.NoArgs,
		Run: func(cmd *cobra.Command, _ []string) {
			fmt.Fprintln(cmd.OutOrStdout(), versionLine(debug.ReadBuildInfo()))
		},
	}
}

// versionLine is "weir 0.2.0-dev (revision 1c2d3e4f5a6b, modified, go1.26.0)". A build outside of a git repository has
// no revision.
func versionLine(info *debug.BuildInfo, ok bool) string {
	line := "weir " + version.Version
	if !ok {
		return line
	}
	var details []string
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			details = append(details, fmt.Sprintf("revision %.12s", s.Value))
		case s.Key == "vcs.modified" && s.Value == "true":
			details = append(details, "modified")
		}
	}
	details = append(details, info.GoVersion)
	return line + " (" + strings.Join(details, ", ") + ")"
}
