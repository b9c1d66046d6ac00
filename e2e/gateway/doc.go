// Package gateway proves in an unmodified Envoy Gateway what `weir render gateway` writes. It runs in its standalone mode, without
// Kubernetes, and starts the Envoy that enforces the policy:
//
//	rendered YAML ──► a folder ──► envoy-gateway ──xDS──► Envoy ──► upstream
//	registry, web server ──module──►     └─────module──────►
//
// `make test-gateway` builds Envoy Gateway and runs this. It needs no root and no mounts: Envoy gets modules from Envoy Gateway by the
// name of a Service of Kubernetes and by certificates in /certs, and an EnvoyPatchPolicy of the test puts this machine's in their place.
//
// What differs from a cluster: Envoy Gateway has fixed ports (18000 and others), so the tests run one after the other; upstreams are
// Backends instead of Services; and it calls an EnvoyExtensionPolicy /NAMESPACE/NAME, in a cluster envoyextensionpolicy/NAMESPACE/NAME.
package gateway
