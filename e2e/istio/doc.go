// Package istio proves in Istio's own control plane what `weir render istio` writes: its validation accepts the objects,
// its xDS generators send them to a real Envoy, and that enforces the policy. Nothing of Kubernetes runs:
//
//	rendered YAML ──► Istio's config store ──► DiscoveryServer ──ADS──► Envoy (a sidecar by its node) ──► upstream
//	                  (in the test's process)
//
// The module is a Go module of its own, since Istio's is huge: 4 minutes and 3 GB to build the first time. `make test-istio`
// runs it.
//
// What differs from a sidecar in a cluster: no agent fetches the module, since its URL is a file's; and no iptables lead
// traffic to Envoy: a Sidecar resource binds the outbound listener to a loopback address.
package istio
