package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/tetratelabs/wazero"
	"github.com/weir-mesh/weir/envoy/internal/replay"
	"github.com/weir-mesh/weir/envoy/internal/replay/accesslog"
	"github.com/weir-mesh/weir/envoy/render"
)

// replayOptions is what `weir replay` is told.
type replayOptions struct {
	policy, against, wasm string
	environment           map[string]string
	asJSON                bool
	log                   replay.ReadOptions
	fields, clusterOf     map[string]string
}

func newReplay() *cobra.Command {
	o := replayOptions{environment: map[string]string{}, fields: map[string]string{}, clusterOf: map[string]string{}}
	cmd := &cobra.Command{
		Use:   "replay -f POLICY ACCESS_LOG",
		Short: "Say what a policy would have decided about the requests of an access log",
		Long: `Say what a policy would have decided about the requests of an access log: admitted and refused, by cluster and by key, when
breakers would have opened, the fullest minute, and which limits the requests needed. The filter itself decides, in this
process, at the time at which each request came; no Envoy is needed. With --against, two policies are compared.

The log has JSON lines with the usual names of fields (docs/replay.md), or text in Envoy's or Istio's default format, or in the
one of --format. It may be compressed by gzip; - is standard input. Envoy's default format does not have the cluster: --cluster
or --cluster-of names it.

Exit status: 0 when the log was replayed, also with lines that can't be read; 1 when not; 2 when the command line was wrong.`,
		Example: `  weir replay -f policy.yaml access.log
  kubectl logs deploy/checkout -c istio-proxy | weir replay -f policy.yaml -
  weir replay -f policy.yaml --against next.yaml --field upstream_cluster=backend access.json.gz
  weir replay -f policy.yaml --cluster-of api.example.com=aws_pricing access.log --json`,
		Args: cobra.ExactArgs(1),
		RunE: work(func(cmd *cobra.Command, files []string) error {
			return runReplay(cmd.Context(), Streams{cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr()}, files[0], &o)
		}),
	}
	flags := cmd.Flags()
	flags.StringVarP(&o.policy, "file", "f", "", "the policy")
	_ = cmd.MarkFlagRequired("file")
	flags.StringVar(&o.against, "against", "", "a second policy, to compare with")
	flags.StringVar(&o.wasm, "wasm", "", "path of weir.wasm (default: "+render.DefaultWasm+", else the one beside this program)")
	flags.Var(environmentFlag(o.environment), "env", "a variable for ${NAME} in a policy, as NAME=VALUE; may be repeated")
	flags.StringVar(&o.log.Log.Format, "format", "", "the format string of a text log, as in Envoy's text_format")
	flags.Var(environmentFlag(o.fields), "field", "the key of JSON that has a field, as NAME=KEY: "+strings.Join(accesslog.Names(), ", ")+", header:NAME; may be repeated")
	flags.StringVar(&o.log.Cluster, "cluster", "", "the cluster of lines that name none")
	flags.Var(environmentFlag(o.clusterOf), "cluster-of", "the same for one authority, as AUTHORITY=CLUSTER; may be repeated")
	flags.BoolVar(&o.asJSON, "json", false, "print the report as JSON")
	return cmd
}

func runReplay(ctx context.Context, streams Streams, file string, o *replayOptions) error {
	wasm, err := readModule(o.wasm)
	if err != nil {
		return err
	}
	getenv := func(name string) (string, bool) {
		if value, ok := o.environment[name]; ok {
			return value, true
		}
		return os.LookupEnv(name)
	}
	policies := []string{o.policy}
	if o.against != "" {
		policies = append(policies, o.against)
	}
	var prepared []*replay.Prepared
	for _, name := range policies {
		document, asJSON, err := readPolicy(name, streams, getenv, func(json []byte) []byte { return json })
		if err != nil {
			return err
		}
		p, err := replay.Prepare(document, asJSON, getenv)
		if err != nil {
			return wholeFile(name, err)
		}
		prepared = append(prepared, p)
	}
	bar := newProgress(streams.Err)
	defer bar.clear()
	log, err := o.read(file, streams.In, prepared, bar)
	if err != nil {
		return wholeFile(file, err)
	}
	o.warn(streams.Err, log, bar)
	report := replay.Report{Log: replay.ReportLog(log)}
	var all []*replay.Decisions
	cache := wazero.NewCompilationCache()
	defer func() { _ = cache.Close(ctx) }()
	for i, p := range prepared {
		decided, err := replay.Run(ctx, log, p, replay.RunOptions{
			Wasm: wasm, Environment: o.variables(), Cache: cache,
			Progress: func(n int) { bar.show(policies[i], int64(n), int64(log.Requests())) },
		})
		if err != nil {
			return fmt.Errorf("%s: %w", policies[i], err)
		}
		all = append(all, decided)
		report.Policies = append(report.Policies, replay.Summarize(displayName(policies[i]), log, p, decided))
	}
	if len(all) == 2 {
		report.Differences = replay.Compare(log, all[0], all[1])
	}
	bar.clear()
	if !o.asJSON {
		replay.Text(streams.Out, &report)
		return nil
	}
	encoder := json.NewEncoder(streams.Out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(&report)
}

// read reads the log, with a progress bar by its bytes.
func (o *replayOptions) read(file string, in io.Reader, prepared []*replay.Prepared, bar *progress) (*replay.Log, error) {
	size := int64(0)
	if file != standardInput {
		opened, err := os.Open(file)
		if err != nil {
			return nil, errors.Unwrap(err) // wholeFile has the name
		}
		defer opened.Close()
		if info, err := opened.Stat(); err == nil {
			size = info.Size()
		}
		in = opened
	}
	counted := &countingReader{in: in}
	reads := replay.ReadsOf(prepared...)
	read := o.log
	read.Log.Fields, read.Log.Headers, read.Paths, read.ClusterOf = o.fields, reads.Headers, reads.Paths, o.clusterOf
	o.log.Log.Headers = reads.Headers
	read.Progress = func(int) { bar.show("reading", counted.n, size) }
	return replay.Read(counted, read)
}

// warn says which headers of limits by key the log does not have: all requests would share one limit.
func (o *replayOptions) warn(w io.Writer, log *replay.Log, bar *progress) {
	for i, seen := range log.HeadersSeen {
		if !seen && log.Requests() > 0 {
			bar.clear()
			fmt.Fprintf(w, "weir: warning: no line has the header %s, by which a limit counts; --field header:%s=KEY names the key that has it\n",
				o.log.Log.Headers[i], o.log.Log.Headers[i])
		}
	}
}

// variables are this process's and those of --env, for ${NAME}.
func (o *replayOptions) variables() map[string]string {
	all := map[string]string{}
	for _, pair := range os.Environ() {
		if name, value, ok := strings.Cut(pair, "="); ok && name != "" {
			all[name] = value
		}
	}
	for name, value := range o.environment {
		all[name] = value
	}
	return all
}

// readModule reads weir.wasm: the one that is named, that of a checkout, or the one beside this program.
func readModule(file string) ([]byte, error) {
	if file != "" {
		return os.ReadFile(file)
	}
	wasm, err := os.ReadFile(render.DefaultWasm)
	if err == nil {
		return wasm, nil
	}
	program, err := os.Executable()
	if err == nil {
		if wasm, err = os.ReadFile(filepath.Join(filepath.Dir(program), filepath.Base(render.DefaultWasm))); err == nil {
			return wasm, nil
		}
	}
	return nil, fmt.Errorf("the filter is neither %s nor beside this program; `make wasm` builds it, --wasm names it", render.DefaultWasm)
}

// countingReader counts what is read.
type countingReader struct {
	in io.Reader
	n  int64
}

func (c *countingReader) Read(b []byte) (int, error) {
	n, err := c.in.Read(b)
	c.n += int64(n)
	return n, err
}
