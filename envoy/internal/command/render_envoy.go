package command

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/weir-mesh/weir/envoy/render"
	"github.com/weir-mesh/weir/policy"
)

func newRenderEnvoy() *cobra.Command {
	var file, output, redis string
	var watchListeners bool
	health, ca, names := healthPathsFlag{}, trustedFlag{}, environmentFlag{}
	var logical []string
	o := render.Options{Env: map[string]string{}}
	cmd := &cobra.Command{
		Use:   "envoy -f POLICY --upstream NAME=HOST:PORT...",
		Short: "Write a complete Envoy bootstrap for a policy",
		Long: `Write a complete Envoy bootstrap for a policy: a listener, a route and a cluster for each upstream, the filter, and the
rules that give its metrics their labels. A request goes to the upstream whose NAME is its host; any other host goes to
the first upstream.

Without -o the command prints one self-contained bootstrap. With -o FILE it writes the bootstrap to FILE, and the filter
with its policy to the same path with the extension .ecds.yaml. Envoy watches that file, so the same command again
reloads the policy without a restart. With --lds Envoy also watches the listeners and their routes (the back-off of
driver envoy, the routes of failover), in a file with the extension .lds.yaml. Files are replaced by renaming. Unchanged
files are not written. The output says when the bootstrap itself changed, which needs a restart of Envoy. Paths are
relative to the directory where this command runs; start Envoy there.

A replaced file keeps its mode; a new file has mode 0644 less the umask. If the policy or --env contains a secret, set the
umask, or set the mode once.

If a policy has circuit_breaker, Envoy also checks each host of the upstream, by connecting to it or by --health-path, and
ejects a host that fails while others are healthy.

An upstream by https:// (port 443 unless written) is verified by the system's roots or by --ca, and gets its own name as SNI and as the
host of requests. Give several hosts behind commas: NAME=10.0.0.7:80,10.0.0.8:80.

A policy with mistakes is refused. The filter replaces ${NAME} in it when it starts, from --env and --host-env.`,
		Example: `  weir render envoy -f policy.yaml --upstream aws_pricing=127.0.0.1:9080 > envoy.yaml
  weir render envoy -f policy.yaml --upstream aws_pricing=pricing.example.com:80 --upstream quotes=h2://10.0.0.7:50051 \
      --upstream gcp_pricing=https://cloudbilling.googleapis.com --listen 0.0.0.0:8080 --env AWS_RATE_LIMIT=50 --health-path aws_pricing=/healthz --weir-admin 9902 --lds -o envoy.yaml`,
		Args: cobra.NoArgs,
		PreRunE: func(*cobra.Command, []string) error {
			if file == "" {
				return errors.New("the policy document is missing: add -f POLICY")
			}
			if len(o.Upstreams) == 0 {
				return errors.New("the upstreams are missing: add --upstream NAME=HOST:PORT")
			}
			if watchListeners {
				if output == "" {
					return errors.New("--lds needs -o FILE: the listeners are written to FILE with the extension .lds.yaml")
				}
				o.LDS = render.ListenersPath(output)
			}
			if len(o.AdminHosts) > 0 && o.Admin == "" {
				return errors.New("--weir-admin-host needs --weir-admin, which adds the listener")
			}
			if err := health.apply(o.Upstreams); err != nil {
				return err
			}
			if err := applyTLS(o.Upstreams, names, ca, logical); err != nil {
				return err
			}
			return o.Check()
		},
		RunE: work(func(cmd *cobra.Command, _ []string) error {
			document, asJSON, err := readPolicy(file, Streams{In: cmd.InOrStdin(), Err: cmd.ErrOrStderr()}, o.Getenv, render.WithVia)
			if err != nil {
				return err
			}
			if err := checkCoverage(document, o.Upstreams, cmd.ErrOrStderr()); err != nil {
				return err
			}
			if o.Redis, err = redisUpstream(document, redis); err != nil {
				return err
			}
			warnAdmin(o, cmd.ErrOrStderr())
			o.Policy, o.Document = asJSON, document
			return writeBootstrap(o, file, output, cmd.OutOrStdout())
		}),
	}
	flags := cmd.Flags()
	flags.StringVarP(&file, "file", "f", "", "the policy document, YAML or JSON; - is standard input")
	flags.Var((*upstreamsFlag)(&o.Upstreams), "upstream",
		"an upstream cluster; may be repeated; NAME=h2://HOST:PORT speaks HTTP/2 to it, NAME=https://HOST TLS; more hosts behind commas")
	flags.Var(names, "tls-name", "the name in the certificate of an upstream by https, also its SNI and the host of its requests; default: its HOST; may be repeated")
	flags.Var(ca, "ca", "file with the roots that upstreams by https are trusted by, as Envoy opens it; default: "+render.DefaultCA+"; may be repeated")
	flags.StringArrayVar(&logical, "logical-dns", nil, "an upstream whose name leads to another of many addresses each time (LOGICAL_DNS); may be repeated")
	flags.StringVar(&redis, "redis", "", "the HTTP bridge to Redis for limits of scope mesh, HOST:PORT or h2://HOST:PORT")
	flags.StringVar(&o.Listen, "listen", render.DefaultListen, "where Envoy listens for traffic, IP:PORT")
	flags.StringVar(&o.EnvoyAdmin, "envoy-admin", render.DefaultEnvoyAdmin, "where Envoy's admin interface listens, IP:PORT")
	flags.StringVar(&o.Admin, "weir-admin", "",
		"where Weir's own admin interface listens, IP:PORT, or PORT on 127.0.0.1; keep it private; default: no such listener")
	flags.StringArrayVar(&o.AdminHosts, "weir-admin-host", nil,
		"another host name that browsers may use for Weir's admin interface, besides addresses and private names; may be repeated")
	flags.Var(health, "health-path", "path of an upstream's health checks; may be repeated; PATH alone is for all other upstreams")
	flags.StringVar(&o.Wasm, "wasm", render.DefaultWasm, "path of weir.wasm, as Envoy opens it")
	flags.Var(environmentFlag(o.Env), "env", "a variable for ${NAME}, as NAME=VALUE; may be repeated")
	flags.StringArrayVar(&o.HostEnv, "host-env", nil, "a variable of Envoy's environment for ${NAME}; may be repeated")
	flags.BoolVar(&o.StringValue, "string-value", false, "write the policy as a JSON string, as Istio does")
	flags.BoolVar(&watchListeners, "lds", false, "also write the listeners and routes to a watched file")
	flags.StringVarP(&output, "output", "o", "", "write to this file, and the policy to a watched file in the same directory")
	return cmd
}

// warnAdmin warns of an admin listener that more than this machine reaches.
func warnAdmin(o render.Options, warnings io.Writer) {
	if o.AdminOnAllAddresses() {
		fmt.Fprintf(warnings, "weir: warning: --weir-admin %s listens on all addresses, and every client that reaches it can reset limits and force breakers; use 127.0.0.1 or a network policy to keep it private\n", o.Admin)
	}
}

// checkCoverage compares the policy's clusters with the upstreams. A cluster without an upstream is an error, since
// most likely a flag was forgotten. An upstream without a policy may be intended, and gets a warning.
func checkCoverage(d *policy.Document, upstreams []render.Upstream, warnings io.Writer) error {
	var missing []error
	for _, c := range d.Clusters {
		named := func(u render.Upstream) bool { return u.Name == c.Pattern }
		if strings.Contains(c.Pattern, "*") || slices.ContainsFunc(upstreams, named) {
			continue
		}
		if err := render.CheckName(c.Pattern); err != nil {
			missing = append(missing, fmt.Errorf("the policy has a cluster %q, which cannot be an upstream's name: %w", c.Pattern, err))
		} else {
			missing = append(missing, fmt.Errorf("the policy has a cluster %[1]s, but no upstream has that name: add --upstream %[1]s=HOST:PORT", c.Pattern))
		}
	}
	for _, u := range upstreams {
		named := func(c policy.Cluster) bool { return c.Pattern == u.Name } // For is nil also for `mode: off`
		if d.For(u.Name) == nil && !slices.ContainsFunc(d.Clusters, named) {
			fmt.Fprintf(warnings, "weir: warning: no policy applies to upstream %s; its requests pass unchanged\n", u.Name)
		}
	}
	return errors.Join(missing...)
}

// redisUpstream is the cluster of the bridge to Redis, with the name from the policy's redis.cluster.
func redisUpstream(d *policy.Document, address string) (*render.Upstream, error) {
	switch {
	case d.Redis == nil && address == "":
		return nil, nil
	case d.Redis == nil:
		return nil, errors.New("--redis is given, but the policy has no `redis` section: add `redis: {}`")
	case address == "":
		return nil, errors.New("the policy has a `redis` section, but the address of its HTTP bridge is missing: add --redis HOST:PORT (see weir bridge --help)")
	}
	if err := render.CheckName(d.Redis.Cluster); err != nil {
		return nil, fmt.Errorf("redis.cluster of the policy: %w", err)
	}
	u, err := render.NewUpstream(d.Redis.Cluster, address)
	if err != nil {
		return nil, fmt.Errorf("--redis: %w", err)
	}
	if u.TLS != nil {
		return nil, errors.New("--redis: the filter calls the bridge without a route, which alone could send a public server its name: write HOST:PORT of a bridge (weir bridge) near by")
	}
	return &u, nil
}

// writeBootstrap prints the bootstrap, or writes all files. input is the path of the policy.
func writeBootstrap(o render.Options, input, output string, out io.Writer) error {
	if output == "" {
		bootstrap, err := render.Inline(o)
		if err != nil {
			return err
		}
		_, err = out.Write(bootstrap)
		return err
	}
	files, err := render.Files(o, output)
	if err != nil {
		return err
	}
	return writeFiles(files, input, out, func(f render.File) bool { return !f.Watched })
}

// writeFiles writes those files that differ, and says so, and which of them a running Envoy reads only at its next start.
// input is the path of the policy.
func writeFiles(files []render.File, input string, out io.Writer, restart func(render.File) bool) error {
	if err := checkOverwrite(input, files); err != nil {
		return err
	}
	for _, file := range files {
		if file.UpToDate() {
			fmt.Fprintf(out, "unchanged %s\n", file.Path)
			continue
		}
		_, err := os.Stat(file.Path)
		replaced := err == nil
		if err := file.Replace(); err != nil {
			return err
		}
		if replaced && restart(file) {
			fmt.Fprintf(out, "wrote %s; restart Envoy to apply it\n", file.Path)
			continue
		}
		fmt.Fprintf(out, "wrote %s\n", file.Path)
	}
	return nil
}

// checkOverwrite returns an error if one of the files would overwrite the policy.
func checkOverwrite(policy string, files []render.File) error {
	for _, file := range files {
		if isSame(policy, file.Path) {
			return fmt.Errorf("%s is the policy and would be overwritten; choose another file to write to", file.Path)
		}
	}
	return nil
}

// isSame reports whether what is read from input would be lost by writing to a path.
func isSame(input, path string) bool {
	if input == standardInput {
		return false
	}
	read, err := os.Stat(input)
	if err != nil {
		return false
	}
	written, err := os.Stat(path)
	return err == nil && os.SameFile(read, written)
}
