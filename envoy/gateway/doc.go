// Package gateway writes the Kubernetes objects that enforce a Weir policy in Envoy Gateway (v1.9), which enforces them in
// e2e/gateway. A test here validates them by the schemas of its CRDs.
//
//	policy + upstreams ──► EnvoyExtensionPolicy   the filter with the policy
//	                       EnvoyPatchPolicy       what that can't say: the headers that clients must not send, the route that
//	                                              Weir sees, the cluster of the bridge to Redis, the admin listener
//	                       BackendTrafficPolicy   the delays between retries; outlier detection, as long as the breaker is open
//	                       EnvoyProxy             labels of the metrics, memory given back
//	                       Deployment, Service    the bridge to Redis
package gateway
