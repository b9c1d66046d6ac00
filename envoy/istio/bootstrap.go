package istio

import (
	"encoding/json"

	"google.golang.org/protobuf/encoding/protojson"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"

	"github.com/weir-mesh/weir/envoy/render"
)

const bootstrapComment = `Labels for Weir's metrics, and memory given back after a start or a reload: both are read once, when a proxy starts. For
pods of this namespace with the annotation
  sidecar.istio.io/bootstrapOverride: %s
Without it the filter works, and a metric's labels stand in its name: weir_requests_total_cluster_=C;_decision_=allowed;`

// bootstrapJSON is what Istio merges into a proxy's bootstrap.
func bootstrapJSON() (string, error) {
	asJSON, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(&bootstrapv3.Bootstrap{
		StatsConfig:            render.StatsConfig(),
		MemoryAllocatorManager: render.MemoryRelease(),
	})
	if err != nil {
		return "", err
	}
	var tree any
	if err := json.Unmarshal(asJSON, &tree); err != nil {
		return "", err
	}
	indented, err := json.MarshalIndent(tree, "", "  ") // sorted keys: protojson's spaces differ between builds
	return string(indented) + "\n", err
}
