//go:build tinygo

package plugin

import "github.com/weir-mesh/weir/filter/internal/host"

// guard is what the host calls for a stream: without recover there is nothing to guard, see guarded.go.
func guard(s *stream) host.HTTPContext { return s }
