package redistest

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	client "github.com/redis/go-redis/v9"
	"github.com/weir-mesh/weir/sharedstate/redis/redistest/port"
	"github.com/weir-mesh/weir/sharedstate/redis/redistest/process"
)

// settleTimeout is how long a Sentinel or a replica may take to see a change, on a machine that is busy with other
// tests.
const settleTimeout = 20 * time.Second

// MasterName is what Sentinel calls the master.
const MasterName = "mymaster"

// Sentinel watches a master and its replicas. https://redis.io/docs/latest/operate/oss_and_stack/management/sentinel/
type Sentinel struct {
	process.Program
	Port   int
	client *client.SentinelClient
}

// NewSentinel starts a Sentinel that watches a master, and returns once it knows as many replicas as the master has.
func NewSentinel(t testing.TB, master *Server) *Sentinel {
	t.Helper()
	s := &Sentinel{Port: port.Reserve(t)}
	path := filepath.Join(t.TempDir(), "sentinel.conf") // Sentinel writes into it
	config := fmt.Sprintf(`port %d
bind 127.0.0.1
sentinel monitor %[2]s 127.0.0.1 %d 1
sentinel down-after-milliseconds %[2]s 1000
sentinel failover-timeout %[2]s 5000
`, s.Port, MasterName, master.Port)
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	s.Program = process.Program{Path: "redis-server", Args: []string{path, "--sentinel"}, Address: fmt.Sprintf("127.0.0.1:%d", s.Port)}
	s.Start(t)
	s.client = client.NewSentinelClient(&client.Options{Addr: s.Address, MaxRetries: -1})
	t.Cleanup(func() { _ = s.client.Close() })

	want := strings.Count(master.info(t, "replication"), "state=online")
	until(t, func() (bool, string) {
		replicas, err := s.client.Replicas(t.Context(), MasterName).Result()
		return err == nil && len(replicas) >= want, fmt.Sprintf("the Sentinel knows %d replicas of %d (%v)", len(replicas), want, err)
	})
	return s
}

// URL is what `weir bridge --redis` takes.
func (s *Sentinel) URL() string { return "redis+sentinel://" + s.Address + "/" + MasterName }

// Master is the address that the Sentinel names.
func (s *Sentinel) Master(t testing.TB) string {
	t.Helper()
	address, err := s.client.GetMasterAddrByName(t.Context(), MasterName).Result()
	if err != nil || len(address) != 2 {
		t.Fatalf("SENTINEL GET-MASTER-ADDR-BY-NAME: %v, %v", address, err)
	}
	return net.JoinHostPort(address[0], address[1])
}

// Failover makes a replica the master, and returns once the Sentinel names another one than before.
func (s *Sentinel) Failover(t testing.TB) {
	t.Helper()
	before := s.Master(t)
	until(t, func() (bool, string) { // NOGOODSLAVE until it has heard from the replica
		err := s.client.Failover(t.Context(), MasterName).Err()
		return err == nil, fmt.Sprintf("SENTINEL FAILOVER: %v", err)
	})
	until(t, func() (bool, string) { return s.Master(t) != before, "the Sentinel still names " + before })
}

// Follow makes a server a replica of another, and returns once it has what the other has.
func (s *Server) Follow(t testing.TB, master *Server) {
	t.Helper()
	if err := s.Client.ReplicaOf(t.Context(), "127.0.0.1", strconv.Itoa(master.Port)).Err(); err != nil {
		t.Fatalf("REPLICAOF: %v", err)
	}
	until(t, func() (bool, string) {
		text := s.info(t, "replication")
		return strings.Contains(text, "master_link_status:up"), "no link to the master: " + text
	})
}

// Lead makes a server a master again.
func (s *Server) Lead(t testing.TB) {
	t.Helper()
	if err := s.Client.ReplicaOf(t.Context(), "NO", "ONE").Err(); err != nil {
		t.Fatalf("REPLICAOF NO ONE: %v", err)
	}
}

func (s *Server) info(t testing.TB, section string) string {
	t.Helper()
	text, err := s.Client.Info(t.Context(), section).Result()
	if err != nil {
		t.Fatalf("INFO %s: %v", section, err)
	}
	return text
}

// until waits for a condition, which says what is there instead.
func until(t testing.TB, reached func() (bool, string)) {
	t.Helper()
	for deadline := time.Now().Add(settleTimeout); ; time.Sleep(10 * time.Millisecond) {
		ok, instead := reached()
		if ok {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("after %v: %s", settleTimeout, instead)
		}
	}
}
