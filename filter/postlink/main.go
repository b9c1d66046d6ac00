// Command postlink finishes the module that Go's linker wrote: `postlink IN OUT`. `make wasm` runs it.
//
// Before a host call returns bytes (a property, headers, a record), the host asks the module for memory: half of the calls that
// a request costs. Each call into a module built by Go starts a goroutine: some 1.6 us with warm caches, several with cold ones.
// So postlink adds an export `malloc`, which Envoy prefers to proxy_on_memory_allocate: eleven instructions that take the memory
// from an arena (package host, memory.go), and call that function when the arena is full. TinyGo's module has such a function
// already, under another name than libc's malloc, whose memory would never be given back.
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
