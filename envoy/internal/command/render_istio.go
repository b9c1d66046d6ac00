package command

import (
	"fmt"

	"github.com/spf13/cobra"
	extensionsv1alpha1 "istio.io/api/extensions/v1alpha1"

	"github.com/weir-mesh/weir/envoy/istio"
	"github.com/weir-mesh/weir/envoy/kube"
	"github.com/weir-mesh/weir/envoy/render"
)

func newRenderIstio() *cobra.Command {
	var priority int32
	var ports []uint
	o := istio.Defaults()
	common := objectsCommand{name: "render istio", options: &o.Options}
	cmd := &cobra.Command{
		Use:   "istio -f POLICY --module URL [--upstream NAME=HOST:PORT...]",
		Short: "Write the Istio and Kubernetes objects for a policy",
		Long: `Write the objects that enforce a policy in an Istio mesh (1.25 or later): a WasmPlugin with the filter and the policy, an
EnvoyFilter for what a WasmPlugin can't say, and where the policy needs them VirtualServices, DestinationRules, and the
bridge to Redis. kubectl applies them; nothing restarts.

In the namespace istio-system (the default) they hold for the whole mesh, in another one for its workloads. --selector
narrows that to workloads with these labels, --target to a gateway or what a waypoint serves.

The policy's clusters need Istio's names: outbound|PORT|SUBSET|HOST for what a workload calls, inbound|PORT|| for what it
serves. Either write these into the policy (outbound|*||HOST is a pattern), or say by --upstream NAME=HOST:PORT what a
name of the policy is: then one policy serves Istio and other Envoys. The filter comes to the side that the names say.

--module is where the proxies get the filter from. No image of Weir is published: push build/weir.wasm to a registry of
yours (an OCI image with a layer plugin.wasm), or serve it by https.

Without -o and --output-dir the command prints all objects. With --output-dir it writes a kustomization, for
kubectl apply -k DIR or as a base for yours, and with --form helm a chart of the same objects, with the policy, the module,
the namespace and the bridge as values.

A policy with mistakes is refused. The filter replaces ${NAME} in it when it starts, from --env and --host-env.`,
		Example: `  weir render istio -f policy.yaml --module oci://registry.example.com/weir:1 \
      --upstream aws_pricing=pricing.example.com:443 | kubectl apply -f -
  weir render istio -f policy.yaml --module https://files.example.com/weir.wasm --namespace shop --selector app=cart \
      --weir-admin 9902 --bridge registry.example.com/weir-bridge:1 --output-dir weir/`,
		Args: cobra.NoArgs,
		PreRunE: func(cmd *cobra.Command, _ []string) error {
			if err := common.check(istio.NoModule()); err != nil {
				return err
			}
			if cmd.Flags().Changed("priority") {
				o.Priority = &priority
			}
			for _, port := range ports {
				if port < 1 || port > 65535 {
					return fmt.Errorf("--port: must be between 1 and 65535, got %d", port)
				}
				o.Ports = append(o.Ports, uint32(port))
			}
			return o.Check()
		},
		RunE: work(func(cmd *cobra.Command, _ []string) error {
			getenv := render.Options{Env: o.Env, HostEnv: o.HostEnv}.Getenv
			return common.run(cmd, getenv, o.Named, func() (kube.Chart, []string, error) { return istio.Chart(o) })
		}),
	}
	flags := cmd.Flags()
	common.flags(flags, "the sidecar")
	flags.StringVar(&o.Module, "module", "", "where the proxies get weir.wasm from: oci://HOST/IMAGE:TAG, https://HOST/PATH, file:///PATH")
	flags.Var(choice(&o.ImagePullPolicy, "POLICY", map[string]extensionsv1alpha1.PullPolicy{
		"always": extensionsv1alpha1.PullPolicy_Always, "if-not-present": extensionsv1alpha1.PullPolicy_IfNotPresent,
	}), "image-pull-policy", "always or if-not-present; default: always for the tag latest")
	flags.StringVarP(&o.Namespace, "namespace", "n", o.Namespace, "namespace of the objects; Istio's root namespace is for the whole mesh")
	flags.StringVar(&o.RootNamespace, "root-namespace", o.RootNamespace, "Istio's root namespace")
	flags.Var(environmentFlag(o.Selector), "selector", "a label of the workloads, as LABEL=VALUE; may be repeated")
	flags.Var(listFlag(&o.Targets, "KIND/NAME", istio.ParseTarget), "target", "a Gateway/NAME, Service/NAME or ServiceEntry/NAME instead; may be repeated")
	flags.Var(choice(&o.Side, "SIDE", map[string]istio.Side{
		"client": istio.SideClient, "server": istio.SideServer, "both": istio.SideBoth,
	}), "side", "client, server or both: which requests the filter sees; default: what the policy's names say")
	flags.UintSliceVar(&ports, "port", nil, "filter only this port; may be repeated")
	flags.Var(choice(&o.Phase, "PHASE", map[string]extensionsv1alpha1.PluginPhase{
		"authn": extensionsv1alpha1.PluginPhase_AUTHN, "authz": extensionsv1alpha1.PluginPhase_AUTHZ,
		"stats": extensionsv1alpha1.PluginPhase_STATS, "none": extensionsv1alpha1.PluginPhase_UNSPECIFIED_PHASE,
	}), "phase", "authn, authz, stats or none: where the filter stands among Istio's; stats: behind authorization")
	flags.Int32Var(&priority, "priority", 0, "order among plugins of the same phase; higher is earlier")
	flags.Var(choice(&o.FailStrategy, "STRATEGY", map[string]extensionsv1alpha1.FailStrategy{
		"reload": extensionsv1alpha1.FailStrategy_FAIL_RELOAD, "close": extensionsv1alpha1.FailStrategy_FAIL_CLOSE,
		"open": extensionsv1alpha1.FailStrategy_FAIL_OPEN,
	}), "fail-strategy", "reload, close or open: what a crash of the filter does to requests")
	flags.Var(listFlag(&o.Upstreams, "NAME=HOST:PORT[/SUBSET]", istio.ParseUpstream), "upstream",
		"what a name in the policy is in Istio; NAME=inbound:PORT is what the workload serves; may be repeated")
	flags.Var(listFlag(&o.Chosen, "POLICY=HOST:PORT[/SUBSET]", istio.ParseChosenCluster), "cluster-policy",
		"a cluster that has this policy of policies; POLICY=inbound:PORT is what the workload serves; may be repeated")
	flags.Var(listFlag(&o.Chosen, "POLICY=HOST:PORT/ROUTE", istio.ParseChosenRoute), "route-policy",
		"a route, by its name in the host's VirtualService, that has this policy of policies; may be repeated")
	flags.Var(environmentFlag(o.Env), "env", "a variable for ${NAME}, as NAME=VALUE; may be repeated")
	flags.StringSliceVar(&o.BootstrapIn, "bootstrap-in", nil, "a namespace of workloads whose metrics get labels by a custom bootstrap; may be repeated")
	return cmd
}
