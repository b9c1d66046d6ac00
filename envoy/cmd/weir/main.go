// Command weir checks policies, renders Envoy's configuration and shows a filter's status. See `weir --help`.
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
