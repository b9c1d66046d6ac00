package e2e

import (
	"net"
	"testing"

	"google.golang.org/grpc"
)

// serveGRPC starts a server of what register adds to it, and returns its port on 127.0.0.1. It ends with t.
func serveGRPC(t *testing.T, register func(*grpc.Server)) uint32 {
	t.Helper()
	var config net.ListenConfig
	listener, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	register(server)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	address, ok := listener.Addr().(*net.TCPAddr)
	if !ok {
		t.Fatalf("got address %v, want one of TCP", listener.Addr())
	}
	return uint32(address.Port)
}
