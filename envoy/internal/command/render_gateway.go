package command

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/weir-mesh/weir/envoy/gateway"
	"github.com/weir-mesh/weir/envoy/kube"
	"github.com/weir-mesh/weir/envoy/render"
)

func newRenderGateway() *cobra.Command {
	o := gateway.Defaults()
	common := objectsCommand{name: "render gateway", options: &o.Options}
	cmd := &cobra.Command{
		Use:   "gateway -f POLICY --module URL --gateway NAME --listener NAME [--upstream NAME=NAMESPACE/ROUTE...]",
		Short: "Write Envoy Gateway's and Kubernetes' objects for a policy",
		Long: `Write the objects that enforce a policy in Envoy Gateway (1.9): an EnvoyExtensionPolicy with the filter and the policy, an
EnvoyPatchPolicy for what that can't say, and where the policy needs them BackendTrafficPolicies and the bridge to Redis.

Envoy Gateway takes an EnvoyPatchPolicy only with extensionApis.enableEnvoyPatchPolicy. Without it --no-patches leaves that
object out: limits and breakers hold, and clients may then choose a failover's cluster by its header.

The policy's clusters need Envoy Gateway's names: httproute/NAMESPACE/ROUTE/rule/N, N from 0. Either write these into the
policy (httproute/shop/* is a pattern), or say by --upstream NAME=NAMESPACE/ROUTE[/N] what a name of the policy is: then one
policy serves Envoy Gateway and other Envoys. Without N it is each rule of the route, and each has a count of its own.

--module is where Envoy Gateway gets the filter from. No image of Weir is published: push one to a registry of yours
(make image), or serve build/weir.wasm by https.

Without -o and --output-dir the command prints all objects. With --output-dir it writes a kustomization, for
kubectl apply -k DIR or as a base for yours, and with --form helm a chart of the same objects, with the policy, the module,
the namespace and the bridge as values.

A policy with mistakes is refused. The filter replaces ${NAME} in it when it starts, from --host-env.`,
		Example: `  weir render gateway -f policy.yaml --module oci://registry.example.com/weir:1 --namespace shop --gateway eg --listener http \
      --upstream aws_pricing=shop/pricing | kubectl apply -f -`,
		Args: cobra.NoArgs,
		PreRunE: func(_ *cobra.Command, _ []string) error {
			if err := common.check(gateway.NoModule()); err != nil {
				return err
			}
			switch {
			case o.Gateway == "":
				return errors.New("the Gateway is missing: add --gateway NAME")
			case len(o.Listeners)+len(o.EnvoyListeners) == 0 && !o.NoPatches:
				return errors.New("the Gateway's listener is missing: add --listener NAME, or --no-patches")
			}
			return o.Check()
		},
		RunE: work(func(cmd *cobra.Command, _ []string) error {
			getenv := render.Options{HostEnv: o.HostEnv}.Getenv
			return common.run(cmd, getenv, o.Named, func() (kube.Chart, []string, error) { return gateway.Chart(o) })
		}),
	}
	flags := cmd.Flags()
	common.flags(flags, "Envoy")
	flags.StringVar(&o.Module, "module", "", "where Envoy Gateway gets weir.wasm from: oci://HOST/IMAGE:TAG, https://HOST/PATH")
	flags.Var(choice(&o.ImagePullPolicy, "POLICY", map[string]string{"always": "Always", "if-not-present": "IfNotPresent"}),
		"image-pull-policy", "always or if-not-present; default: always for the tag latest")
	flags.StringVarP(&o.Namespace, "namespace", "n", o.Namespace, "namespace of the Gateway and of the objects")
	flags.StringVar(&o.Gateway, "gateway", "", "the Gateway whose requests are filtered")
	flags.StringSliceVar(&o.Listeners, "listener", nil, "a listener of the Gateway, of those with the same port the first; may be repeated")
	flags.StringArrayVar(&o.EnvoyListeners, "envoy-listener", nil,
		"a listener by Envoy's own name where that is not NAMESPACE/GATEWAY/LISTENER: tcp-80 with XDSNameSchemeV2; may be repeated")
	flags.StringVar(&o.GatewayClass, "gateway-class", "", "the GatewayClass of Gateways that are one Envoy (mergeGateways), which the patches are for then")
	flags.Var(listFlag(&o.Routes, "KIND/NAME", gateway.ParseTarget), "route", "filter only the requests of this HTTPRoute/NAME or GRPCRoute/NAME; may be repeated")
	flags.BoolVar(&o.FailOpen, "fail-open", false, "after a crash of the filter forward requests without limits, instead of 503")
	flags.Var(listFlag(&o.Upstreams, "NAME=NAMESPACE/ROUTE[/N]", gateway.ParseUpstream), "upstream",
		"the route of a name in the policy, and with N its rule; grpcroute/NAMESPACE/ROUTE is a GRPCRoute; may be repeated")
	flags.BoolVar(&o.NoPatches, "no-patches", false, "leave the EnvoyPatchPolicy out, which Envoy Gateway has to allow")
	flags.BoolVar(&o.EnvoyProxy, "envoy-proxy", false, "add an EnvoyProxy with the labels of metrics, which the Gateway has to name")
	return cmd
}
