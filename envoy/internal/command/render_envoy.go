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
	health := healthPathsFlag{}
	o := render.Options{Env: map[string]string{}}
	cmd := &cobra.Command{
		Use:   "envoy -f POLICY --upstream NAME=HOST:PORT...",
		Short: "Write a complete Envoy bootstrap around a policy",
		Long: `Write a complete Envoy bootstrap around a policy: a listener, a route and a cluster for each upstream, the filter, and
the rules that give its metrics their labels. A request goes to the upstream whose NAME is its host, and to the first
upstream when none is.

Without -o one self-contained bootstrap is printed. With -o FILE it is written to FILE, and the filter with its policy
beside it, to FILE with .ecds.yaml for its ending: Envoy watches that one, so running the same command again reloads
the policy without a restart. With --lds the listeners and their routes are watched too, in FILE with .lds.yaml for its
ending: the back-off of driver envoy and the routes of failover stand there. Files are replaced by renaming, those that
did not change are left alone, and where the bootstrap itself changed it is said that this takes a restart. Paths are
relative to where this command runs; start Envoy there.

A file that is replaced keeps its mode; a new one can be read by all whom the umask does not keep out. Where the policy or
--env holds a secret, set the umask, or the mode once.

Where a policy has circuit_breaker, Envoy also checks each host of the upstream, by connecting to it or by --health-path,
and takes out one of several that fails.

A policy with mistakes is refused. ${NAME} in it is replaced by the filter, when it starts, from --env and --host-env.`,
		Example: `  weir render envoy -f policy.yaml --upstream aws_pricing=127.0.0.1:9080 > envoy.yaml
  weir render envoy -f policy.yaml --upstream aws_pricing=pricing.example.com:80 --upstream quotes=h2://10.0.0.7:50051 \
      --listen 0.0.0.0:8080 --env AWS_RATE_LIMIT=50 --health-path aws_pricing=/healthz --weir-admin 9902 --lds -o envoy.yaml`,
		Args: cobra.NoArgs,
		PreRunE: func(*cobra.Command, []string) error {
			if file == "" {
				return errors.New("name the policy document: -f POLICY")
			}
			if len(o.Upstreams) == 0 {
				return errors.New("name at least one upstream: --upstream NAME=HOST:PORT")
			}
			if watchListeners {
				if output == "" {
					return errors.New("--lds needs -o FILE, beside which the listeners are written")
				}
				o.LDS = render.ListenersPath(output)
			}
			if len(o.AdminHosts) > 0 && o.Admin == "" {
				return errors.New("--weir-admin-host needs --weir-admin, the listener that it is for")
			}
			if err := health.apply(o.Upstreams); err != nil {
				return err
			}
			return o.Check()
		},
		RunE: work(func(cmd *cobra.Command, _ []string) error {
			document, asJSON, err := readPolicy(file, cmd.InOrStdin(), o.Getenv)
			if err != nil {
				return err
			}
			if err := coverage(document, o.Upstreams, cmd.ErrOrStderr()); err != nil {
				return err
			}
			if o.Redis, err = redisUpstream(document, redis); err != nil {
				return err
			}
			if o.AdminIsOpen() {
				fmt.Fprintf(cmd.ErrOrStderr(), "weir: warning: --weir-admin %s is open to all who reach this machine, and whoever reaches it can reset limits and force breakers; 127.0.0.1 or a network policy keeps it private\n", o.Admin)
			}
			o.Policy, o.Document = asJSON, document
			return writeBootstrap(o, file, output, cmd.OutOrStdout())
		}),
	}
	flags := cmd.Flags()
	flags.StringVarP(&file, "file", "f", "", "the policy document, YAML or JSON; - is standard input")
	flags.Var((*upstreamsFlag)(&o.Upstreams), "upstream",
		"an upstream cluster; may be repeated; NAME=h2://HOST:PORT speaks HTTP/2 to it")
	flags.StringVar(&redis, "redis", "", "the HTTP bridge to Redis, HOST:PORT or h2://HOST:PORT, for limits of scope mesh")
	flags.StringVar(&o.Listen, "listen", render.DefaultListen, "where Envoy listens for traffic, IP:PORT")
	flags.StringVar(&o.EnvoyAdmin, "envoy-admin", render.DefaultEnvoyAdmin, "where Envoy's admin interface listens, IP:PORT")
	flags.StringVar(&o.Admin, "weir-admin", "",
		"where Weir's own admin interface listens, IP:PORT, or PORT of 127.0.0.1; keep it private; none by default")
	flags.StringArrayVar(&o.AdminHosts, "weir-admin-host", nil,
		"a name under which browsers may ask for Weir's admin interface, beside addresses and private names; may be repeated")
	flags.Var(health, "health-path", "what health checks ask an upstream for; may be repeated; PATH alone is for all others")
	flags.StringVar(&o.Wasm, "wasm", render.DefaultWasm, "path of weir.wasm, as Envoy opens it")
	flags.Var(environmentFlag(o.Env), "env", "a variable for ${NAME}, as NAME=VALUE; may be repeated")
	flags.StringArrayVar(&o.HostEnv, "host-env", nil, "a variable of Envoy's environment for ${NAME}; may be repeated")
	flags.BoolVar(&o.StringValue, "string-value", false, "give the policy as a string of JSON, as Istio does")
	flags.BoolVar(&watchListeners, "lds", false, "write the listeners and routes to a watched file too")
	flags.StringVarP(&output, "output", "o", "", "write to this file, and the policy to a watched file beside it")
	return cmd
}

// coverage compares the policy's clusters with the upstreams. A cluster without an upstream is most likely a
// forgotten flag, and an error; an upstream without a policy may well be meant, and gets a warning.
func coverage(d *policy.Document, upstreams []render.Upstream, warnings io.Writer) error {
	var missing []error
	for _, c := range d.Clusters {
		named := func(u render.Upstream) bool { return u.Name == c.Pattern }
		if strings.Contains(c.Pattern, "*") || slices.ContainsFunc(upstreams, named) {
			continue
		}
		if err := render.CheckName(c.Pattern); err != nil {
			missing = append(missing, fmt.Errorf("the policy has a cluster %q, which no upstream can be named: %w", c.Pattern, err))
		} else {
			missing = append(missing, fmt.Errorf("the policy has a cluster %[1]s, but no upstream is named so: add --upstream %[1]s=HOST:PORT", c.Pattern))
		}
	}
	for _, u := range upstreams {
		named := func(c policy.Cluster) bool { return c.Pattern == u.Name } // For is nil also for `mode: off`
		if d.For(u.Name) == nil && !slices.ContainsFunc(d.Clusters, named) {
			fmt.Fprintf(warnings, "weir: warning: no policy applies to upstream %s; its requests pass untouched\n", u.Name)
		}
	}
	return errors.Join(missing...)
}

// redisUpstream is the cluster of the bridge to Redis, under the name that the policy has for it.
func redisUpstream(d *policy.Document, address string) (*render.Upstream, error) {
	switch {
	case d.Redis == nil && address == "":
		return nil, nil
	case d.Redis == nil:
		return nil, errors.New("--redis is given, but the policy has no `redis` section; add `redis: {}`")
	case address == "":
		return nil, errors.New("the policy has a `redis` section: say where its HTTP bridge is, --redis HOST:PORT (see weir bridge --help)")
	}
	if err := render.CheckName(d.Redis.Cluster); err != nil {
		return nil, fmt.Errorf("redis.cluster of the policy: %w", err)
	}
	u, err := render.NewUpstream(d.Redis.Cluster, address)
	if err != nil {
		return nil, fmt.Errorf("--redis: %w", err)
	}
	return &u, nil
}

// writeBootstrap prints the bootstrap, or writes all files. Input is where the policy came from.
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
	if err := spare(input, files); err != nil {
		return err
	}
	for _, file := range files {
		if file.Stands() {
			fmt.Fprintf(out, "unchanged %s\n", file.Path)
			continue
		}
		_, err := os.Stat(file.Path)
		replaced := err == nil
		if err := file.Replace(); err != nil {
			return err
		}
		if replaced && !file.Watched {
			fmt.Fprintf(out, "wrote %s, which a running Envoy takes up when it is started again\n", file.Path)
			continue
		}
		fmt.Fprintf(out, "wrote %s\n", file.Path)
	}
	return nil
}

// spare says that one of the files would be written over the policy.
func spare(policy string, files []render.File) error {
	input, err := os.Stat(policy)
	if policy == standardInput || err != nil { // it was read, and is gone by now: nothing is lost
		return nil
	}
	for _, file := range files {
		if there, err := os.Stat(file.Path); err == nil && os.SameFile(input, there) {
			return fmt.Errorf("%s holds the policy, and would be overwritten; name another FILE with -o", file.Path)
		}
	}
	return nil
}
