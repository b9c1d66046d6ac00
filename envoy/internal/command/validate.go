package command

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"github.com/weir-mesh/weir/policy"
)

func newValidate() *cobra.Command {
	var asJSON bool
	environment := map[string]string{}
	cmd := &cobra.Command{
		Use:   "validate POLICY...",
		Short: "Check policy documents and report all mistakes",
		Long: `Check policy documents in YAML or JSON, as the filter does when it starts. Every mistake is reported on a line of its own,
with its path. A setting that this version of Weir does not enforce is a mistake too. A POLICY of - is standard input.
${NAME} in a document is replaced from --env and from this command's environment.`,
		Example: `  weir validate policy.yaml
  weir validate --env AWS_RATE_LIMIT=50 policies/*.yaml
  weir validate --json - < policy.json`,
		Args: cobra.MinimumNArgs(1),
		RunE: work(func(cmd *cobra.Command, files []string) error {
			getenv := func(name string) (string, bool) {
				if value, ok := environment[name]; ok {
					return value, true
				}
				return os.LookupEnv(name)
			}
			return validate(cmd.InOrStdin(), cmd.OutOrStdout(), files, getenv, asJSON)
		}),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, `print the mistakes as JSON: [{"file", "path", "text"}]`)
	cmd.Flags().Var(environmentFlag(environment), "env", "a variable for ${NAME}, as NAME=VALUE; may be repeated")
	return cmd
}

func validate(in io.Reader, out io.Writer, files []string, getenv lookup, asJSON bool) error {
	all := fileMistakes{}
	for _, file := range files {
		document, _, err := readPolicy(file, in, getenv, asWritten)
		var mistakes fileMistakes
		if errors.As(err, &mistakes) {
			all = append(all, mistakes...)
		} else if !asJSON {
			fmt.Fprintf(out, "%s: ok, %s\n", displayName(file), summary(document))
		}
	}
	if asJSON {
		encoder := json.NewEncoder(out)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		if err := encoder.Encode(all); err != nil {
			return err
		}
		if len(all) > 0 {
			return errReported
		}
	}
	if len(all) > 0 {
		return all
	}
	return nil
}

func asWritten(json []byte) []byte { return json }

func summary(d *policy.Document) string {
	text := fmt.Sprintf("%d clusters", len(d.Clusters))
	if len(d.Clusters) == 1 {
		text = "1 cluster"
	}
	if d.Default != nil {
		text += " and a default"
	}
	return text
}
