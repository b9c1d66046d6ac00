// Command postlink finishes the module that Go's linker wrote. `make wasm` runs it:
//
//	postlink exports IN OUT    an export `malloc`; of TinyGo's module, none of libc's
//	postlink calls IN OUT      calls through the table, see throughTable; after wasm-opt
//
// Before a host call returns bytes (a property, headers, a record), the host asks the module for memory: half of the calls that
// a request costs. Each call into a module built by Go starts a goroutine: some 1.6 us with warm caches, several with cold ones.
// So postlink adds an export `malloc`, which Envoy prefers to proxy_on_memory_allocate: eleven instructions that take the memory
// from an arena (package host, memory.go), and call that function when the arena is full. TinyGo's module has such a function
// already, under another name than libc's malloc, whose memory would never be given back.
//
// A module without these steps works as well; it is slower, and Envoy takes longer to start.
package main

import (
	"fmt"
	"os"
)

// steps are what postlink can do with a module.
var steps = map[string]func([]byte) ([]byte, error){"exports": finish, "calls": throughTable}

func main() {
	if len(os.Args) != 4 || steps[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: postlink exports|calls IN.wasm OUT.wasm")
		os.Exit(2)
	}
	if err := run(steps[os.Args[1]], os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, "postlink "+os.Args[1]+": "+err.Error())
		os.Exit(1)
	}
}

func run(step func([]byte) ([]byte, error), in, out string) error {
	module, err := os.ReadFile(in)
	if err != nil {
		return err
	}
	finished, err := step(module)
	if err != nil {
		return fmt.Errorf("%s: %w", in, err)
	}
	return os.WriteFile(out, finished, 0o644)
}
