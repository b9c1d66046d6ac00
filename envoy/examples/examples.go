// Package examples holds policies and the configurations around them, ready to be read and copied. Those that the
// `weir` command renders are tested to be its output.
package examples

import _ "embed"

// QuickstartPolicy is quickstart.policy.yaml, the policy that the demo shows at work.
//
//go:embed quickstart.policy.yaml
var QuickstartPolicy []byte

// MeshPolicy is mesh.policy.yaml, the limit that the demo's two Envoys share.
//
//go:embed mesh.policy.yaml
var MeshPolicy []byte

// RegionsPolicy is regions.policy.yaml, of which the demo shows retries and failover.
//
//go:embed regions.policy.yaml
var RegionsPolicy []byte

// What quickstart.yaml and quickstart.ecds.yaml are rendered with, as seen from the module's root.
const (
	QuickstartPath     = "envoy/examples/quickstart.yaml"
	QuickstartCluster  = "aws_pricing"
	QuickstartUpstream = "127.0.0.1:9080"
)
