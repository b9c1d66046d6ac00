// Package examples has policies and their Envoy configurations, to read and to copy. A test keeps the rendered ones
// equal to the output of the `weir` command.
package examples

import _ "embed"

// QuickstartPolicy is quickstart.policy.yaml, the policy that the demo starts with.
//
//go:embed quickstart.policy.yaml
var QuickstartPolicy []byte

// MeshPolicy is mesh.policy.yaml, with the limit that the demo's two Envoys share.
//
//go:embed mesh.policy.yaml
var MeshPolicy []byte

// RegionsPolicy is regions.policy.yaml, for the demo's retries and failover.
//
//go:embed regions.policy.yaml
var RegionsPolicy []byte

// Arguments that quickstart.yaml and quickstart.ecds.yaml are rendered with, relative to the module's root.
const (
	QuickstartPath     = "envoy/examples/quickstart.yaml"
	QuickstartCluster  = "aws_pricing"
	QuickstartUpstream = "127.0.0.1:9080"
)

// RoutesPath is what routes.before.yaml becomes, relative to the module's root.
const RoutesPath = "envoy/examples/routes.yaml"
