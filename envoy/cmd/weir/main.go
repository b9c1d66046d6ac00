// Command weir checks and renders Weir's configuration and shows it at work. See `weir --help`.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/weir-mesh/weir/envoy/internal/command"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := command.Run(ctx, os.Args[1:], command.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr})
	stop()
	os.Exit(status)
}
