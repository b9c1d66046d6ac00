// Command filter is Weir's Wasm module: `make wasm` builds it by TinyGo, `make wasm-go` by official Go.
//
//	internal/plugin    callbacks of the host                 internal/host      calls to the host
//	internal/request   one request, as a state machine       internal/stage     what can refuse a request: breaker, …
//	internal/mesh      the client of Redis                   internal/admin     the operators' API and page
//	internal/observe   metrics and log lines                 internal/publish   the state for operators, once a second
//	metric, adminapi, version: shared with the weir command  postlink           finishes the linked module
package main

import (
	"github.com/weir-mesh/weir/filter/internal/host"
	"github.com/weir-mesh/weir/filter/internal/plugin"
)

// In a c-shared build main never runs.
func init() { host.Register(plugin.NewVM()) }

func main() {}
