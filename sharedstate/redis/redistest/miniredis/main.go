// Command miniredis is a miniredis in a process of its own: tests under the race detector, which slows Lua down tenfold,
// take one that was built without it. It listens on a free port, writes its address, and ends with its input.
package main

import (
	"fmt"
	"io"
	"os"

	"github.com/alicebob/miniredis/v2"
)

func main() {
	server, err := miniredis.Run()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(server.Addr())
	_, _ = io.Copy(io.Discard, os.Stdin)
	server.Close()
}
