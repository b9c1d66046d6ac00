// Package istio writes the Kubernetes objects that enforce a Weir policy in an Istio mesh, typed by istio.io/api. Istio's
// own control plane accepts them and a real Envoy enforces them in e2e/istio.
//
//	policy + upstreams ──► WasmPlugin       the filter with the policy, sent to each sidecar by ECDS
//	                       EnvoyFilter      what a WasmPlugin can't say: the admin listener, the headers that clients
//	                                        must not send, the route that Weir sees, the back-off between retries
//	                       VirtualService   no retries of Istio's own beside the policy's; the routes of failover
//	                       DestinationRule  outlier detection, as long as the breaker is open
//	                       ConfigMap        labels of the metrics, for sidecar.istio.io/bootstrapOverride
//	                       Deployment …     the bridge to Redis
package istio
