package command

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"github.com/weir-mesh/weir/envoy/internal/check"
	"github.com/weir-mesh/weir/policy"
)

func newValidate() *cobra.Command {
	var asJSON bool
	environment := map[string]string{}
	cmd := &cobra.Command{
		Use:   "validate POLICY...",
		Short: "Check policies, in any form that Envoy gets them, and report all mistakes",
		Long: `Check policies as the filter does when it starts: a document of its own in YAML or JSON, Envoy's configuration with the
filter in it (envoy.yaml, a watched *.ecds.yaml or listener), a WasmPlugin of Istio, an EnvoyExtensionPolicy of Envoy Gateway.
YAML is read as Envoy reads it, and in a manifest as Kubernetes does.

Every mistake is on a line of its own, FILE:LINE:COLUMN: PATH: TEXT. A setting that this version of Weir does not enforce is a
mistake too. What is accepted and surely not meant is a warning. A POLICY of - is standard input. ${NAME} in a document is
replaced from --env and from this command's environment; in Envoy's configuration and manifests only what the plugin's own
environment lists is set, as in the filter.

Exit status: 0 without mistakes, also with warnings; 1 with mistakes; 2 when the command line was wrong.`,
		Example: `  weir validate policy.yaml
  weir validate --env AWS_RATE_LIMIT=50 policies/*.yaml
  weir validate envoy.yaml envoy.ecds.yaml wasmplugin.yaml
  weir validate --json - < policy.json`,
		Args: cobra.MinimumNArgs(1),
		RunE: work(func(cmd *cobra.Command, files []string) error {
			getenv := func(name string) (string, bool) {
				if value, ok := environment[name]; ok {
					return value, true
				}
				return os.LookupEnv(name)
			}
			return validate(Streams{cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr()}, files, getenv, asJSON)
		}),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, `print the findings as JSON: [{"file", "line", "column", "severity", "path", "text"}]; severity is mistake or warning`)
	cmd.Flags().Var(environmentFlag(environment), "env", "a variable for ${NAME}, as NAME=VALUE; may be repeated")
	return cmd
}

func validate(streams Streams, files []string, getenv lookup, asJSON bool) error {
	all, failed := fileMistakes{}, false
	for _, file := range files {
		raw, err := readFile(file, streams.In)
		if err != nil {
			all, failed = append(all, wholeFile(file, err)...), true
			continue
		}
		result := check.File(file, raw, check.Lookup(getenv))
		all = append(all, findings(file, result.Findings)...)
		switch {
		case result.Failed():
			failed = true
		case !asJSON:
			fmt.Fprintf(streams.Out, "%s: ok, %s\n", displayName(file), summary(result.Policies))
		}
	}
	if asJSON {
		encoder := json.NewEncoder(streams.Out)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		if err := encoder.Encode(all); err != nil {
			return err
		}
		if failed {
			return errReported
		}
		return nil
	}
	if failed {
		return all
	}
	for _, line := range all.lines() {
		fmt.Fprintln(streams.Err, line)
	}
	return nil
}

// summary says what was checked: 2 clusters and a default; 3 policies, 1 cluster; the admin API.
func summary(documents []*policy.Document) string {
	clusters, named, others := 0, 0, map[string]bool{}
	for _, d := range documents {
		clusters, named = clusters+len(d.Clusters), named+len(d.Policies)
		others["a default"] = others["a default"] || d.Default != nil
		others["the admin API"] = others["the admin API"] || d.Admin
		others["attempts"] = others["attempts"] || d.Attempts
	}
	text := fmt.Sprintf("%d clusters", clusters)
	if clusters == 1 {
		text = "1 cluster"
	}
	if len(documents) > 1 {
		text = fmt.Sprintf("%d policies, %s", len(documents), text)
	}
	switch {
	case named == 1:
		text += " and 1 named policy"
	case named > 1:
		text += fmt.Sprintf(" and %d named policies", named)
	}
	for _, other := range []string{"a default", "the admin API", "attempts"} {
		if others[other] {
			text += " and " + other
		}
	}
	return text
}
