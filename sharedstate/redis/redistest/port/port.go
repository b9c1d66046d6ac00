// Package port hands out TCP ports of the loopback interface that stay free until they are used.
//
// A port from "listen on 0, close, use it later" comes out of the kernel's ephemeral range, where any outgoing
// connection may take it in the meantime. Ports from here lie below that range, and a lock file keeps two test
// processes of one machine from being given the same one.
package port

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
)

// Ports are taken from [lowest, highest): above the services of an ordinary machine, below Linux's ephemeral range.
const (
	lowest  = 15000
	highest = 32000
)

var errTaken = errors.New("taken")

// Reserve returns a TCP port of 127.0.0.1 that nobody listens on and that no other caller of Reserve on this machine
// is given before t has ended.
func Reserve(t testing.TB) int {
	t.Helper()
	dir := filepath.Join(os.TempDir(), fmt.Sprintf("weir-e2e-ports-%d", os.Getuid()))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatalf("reserve a port: %v", err)
	}
	for range 1000 {
		port := lowest + rand.IntN(highest-lowest)
		lock, err := reserve(dir, port)
		if errors.Is(err, errTaken) {
			continue
		}
		if err != nil {
			t.Fatalf("reserve a port: %v", err)
		}
		t.Cleanup(func() { _ = lock.Close() }) // the kernel drops the lock, also when this process is killed
		return port
	}
	t.Fatalf("reserve a port: all of a thousand ports tried between %d and %d were taken", lowest, highest)
	return 0
}

func reserve(dir string, port int) (*os.File, error) {
	lock, err := os.OpenFile(filepath.Join(dir, strconv.Itoa(port)), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = lock.Close()
		return nil, errTaken
	}
	// A process that this one forks at the same time would hold the probe open until it execs its program, and whoever the
	// port is given to could not listen: seen as "bind: address already in use" in tests that start Envoys in parallel.
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	probe, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		_ = lock.Close()
		return nil, errTaken
	}
	return lock, probe.Close()
}
