// Command postlink finishes the module that Go's linker wrote: `postlink IN OUT`. `make wasm` runs it.
//
// Each time Envoy calls into a module built by Go, Go's runtime starts a goroutine for the call: some 1.6 us with warm
// caches, several with cold ones. Of the calls that a request costs, half can be spared:
//
//   - Before a host call returns bytes (a property, headers, a record), the host asks the module for memory. postlink
//     adds an export `malloc`, which Envoy prefers to the SDK's proxy_on_memory_allocate: eleven instructions that take
//     the memory from an arena (package host, memory.go), and call the SDK's function when the arena is full.
//   - Callbacks that the filter does not implement are no longer exported, so that Envoy does not call them.
//
// A module without this step works as well; it is slower.
package main

import (
	"fmt"
	"os"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: postlink IN.wasm OUT.wasm")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "postlink: "+err.Error())
		os.Exit(1)
	}
}

func run(in, out string) error {
	module, err := os.ReadFile(in)
	if err != nil {
		return err
	}
	finished, err := finish(module)
	if err != nil {
		return fmt.Errorf("%s: %w", in, err)
	}
	return os.WriteFile(out, finished, 0o644)
}
