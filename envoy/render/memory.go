package render

import (
	"time"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	"google.golang.org/protobuf/types/known/durationpb"
)

// MemoryRelease lets Envoy give free memory back to the system, up to 16 MiB each second. By default it keeps what it once
// had: the start of a Wasm module and each reload of a large policy need memory for a moment.
func MemoryRelease() *bootstrapv3.MemoryAllocatorManager {
	return &bootstrapv3.MemoryAllocatorManager{
		BytesToRelease:        16 << 20,
		MemoryReleaseInterval: durationpb.New(time.Second),
	}
}
