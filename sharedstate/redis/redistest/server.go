package redistest

import (
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	client "github.com/redis/go-redis/v9"
	"github.com/weir-mesh/weir/sharedstate/redis/redistest/port"
	"github.com/weir-mesh/weir/sharedstate/redis/redistest/process"
)

// Server is a real redis-server, which keeps nothing on disk.
type Server struct {
	process.Program
	Port int
	// Client speaks to it directly, past any bridge. It tries nothing twice.
	Client *client.Client

	bus int // the port of its cluster bus; 0: it is no part of a cluster
}

// Installed says whether a program is on PATH.
func Installed(program string) bool {
	_, err := exec.LookPath(program)
	return err == nil
}

// NewServer starts a redis-server. A test on a machine without it is skipped.
func NewServer(t testing.TB) *Server {
	t.Helper()
	return newServer(t)
}

// NewCluster starts a Redis Cluster of so many masters, with equal ranges of slots. A test on a machine without redis-server
// is skipped.
func NewCluster(t testing.TB, masters int) []*Server {
	t.Helper()
	const slots = 16384
	all := make([]*Server, masters)
	for i := range all {
		bus := port.Reserve(t)
		all[i] = newServer(t, "--cluster-enabled", "yes", "--cluster-port", strconv.Itoa(bus), "--cluster-node-timeout", "60000")
		first := all[0]
		for _, words := range [][]any{
			{"CLUSTER", "ADDSLOTSRANGE", i * slots / masters, (i+1)*slots/masters - 1},
			{"CLUSTER", "MEET", "127.0.0.1", first.Port, first.bus},
		} {
			if i == 0 && words[1] == "MEET" {
				continue
			}
			if err := all[i].Client.Do(t.Context(), words...).Err(); err != nil {
				t.Fatalf("%v: %v", words, err)
			}
		}
		all[i].bus = bus
	}
	for _, s := range all {
		for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
			info, err := s.Client.ClusterInfo(t.Context()).Result()
			if err == nil && strings.Contains(info, "cluster_state:ok") && strings.Contains(info, fmt.Sprintf("cluster_known_nodes:%d", masters)) {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("CLUSTER INFO of %s: got %s, %v, want %d nodes that are ok", s.Address, info, err, masters)
			}
		}
	}
	return all
}

func newServer(t testing.TB, more ...string) *Server {
	t.Helper()
	if !Installed("redis-server") {
		t.Skip("redis-server is not installed (apt-get install redis-server)")
	}
	number := port.Reserve(t)
	s := &Server{Port: number}
	s.Program = process.Program{
		Path: "redis-server",
		Args: append([]string{
			"--port", strconv.Itoa(number), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", t.TempDir(),
			"--daemonize", "no", "--loglevel", "warning", "--repl-diskless-sync-delay", "0",
		}, more...),
		Address: fmt.Sprintf("127.0.0.1:%d", number),
	}
	s.Start(t)
	s.Client = client.NewClient(&client.Options{Addr: s.Address, MaxRetries: -1, DialerRetries: 1})
	t.Cleanup(func() { _ = s.Client.Close() })
	return s
}

// URL is what `weir bridge --redis` takes.
func (s *Server) URL() string { return "redis://" + s.Address }

// FlushScripts makes it forget its scripts, as a replica that became the master may never have had them.
func (s *Server) FlushScripts(t testing.TB) {
	t.Helper()
	if err := s.Client.ScriptFlush(t.Context()).Err(); err != nil {
		t.Fatalf("SCRIPT FLUSH: %v", err)
	}
}

// Calls are how often each command ran since the start or ResetCalls, by lower-case name ("evalsha", "script|flush").
// What a script calls counts as well, under its own name. https://redis.io/docs/latest/commands/info/
func (s *Server) Calls(t testing.TB) map[string]int64 {
	t.Helper()
	calls, err := parseCalls(s.info(t, "commandstats"))
	if err != nil {
		t.Fatalf("INFO commandstats: %v", err)
	}
	return calls
}

// ResetCalls makes Calls count from 0 again.
func (s *Server) ResetCalls(t testing.TB) {
	t.Helper()
	if err := s.Client.ConfigResetStat(t.Context()).Err(); err != nil {
		t.Fatalf("CONFIG RESETSTAT: %v", err)
	}
}

// parseCalls reads lines `cmdstat_evalsha:calls=21,usec=175,…`.
func parseCalls(text string) (map[string]int64, error) {
	calls := map[string]int64{}
	for line := range strings.Lines(text) {
		name, rest, found := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "cmdstat_"), ":calls=")
		if !found {
			continue // a headline
		}
		digits, _, _ := strings.Cut(rest, ",")
		n, err := strconv.ParseInt(digits, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", line, err)
		}
		calls[name] = n
	}
	return calls, nil
}

// Now is Redis's own clock.
func (s *Server) Now(t testing.TB) time.Time {
	t.Helper()
	now, err := s.Client.Time(t.Context()).Result()
	if err != nil {
		t.Fatalf("TIME: %v", err)
	}
	return now
}
