package bridge

import (
	"strings"
	"sync/atomic"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"
)

// refuser is a Redis that answers each EVAL, and the command ASKING before it, with an error of the test.
type refuser struct {
	redis *miniredis.Miniredis
	evals atomic.Int64
	says  atomic.Pointer[string] // HERE stands for this server's own address
}

func newRefuser(t *testing.T) *refuser {
	t.Helper()
	r := &refuser{redis: miniredis.NewMiniRedis()}
	if err := r.redis.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.redis.Close)
	r.redis.Server().SetPreHook(func(peer *server.Peer, command string, _ ...string) bool {
		switch says := r.says.Load(); {
		case command == "ASKING":
			peer.WriteOK()
		case command == "EVAL" && says != nil:
			r.evals.Add(1)
			peer.WriteError(strings.ReplaceAll(*says, "HERE", r.redis.Addr()))
		default:
			return false
		}
		return true
	})
	return r
}

// TestRefusals: an error of Redis reaches the caller as it is, and is not a reason to send the command again, but where
// Redis says that it did not run it: READONLY, and to a cluster MOVED and ASK. Then it is sent a bounded number of times.
func TestRefusals(t *testing.T) {
	const single, cluster = "redis://", "redis+cluster://"
	for _, tc := range []struct {
		form, says string
		sent       int64 // at most; 1 where it is sent once
	}{
		{single, "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.", 1},
		{single, "LOADING Redis is loading the dataset in memory", 1},
		{single, "CLUSTERDOWN Hash slot not served", 1},
		{single, "OOM command not allowed when used memory > 'maxmemory'.", 1},
		{single, "WRONGTYPE Operation against a key holding the wrong kind of value", 1},
		{single, "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.", 1},
		{single, "NOREPLICAS Not enough good replicas to write.", 1},
		{single, "NOPERM this user has no permissions to run the 'eval' command", 1},
		{single, "TRYAGAIN Multiple keys request during rehashing of slot", 1},
		{single, "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.", 1},
		{single, "ERR max number of clients reached", 1},
		{single, "MOVED 0 HERE", 1},
		{single, "ASK 0 HERE", 1},
		{single, "READONLY You can't write against a read only replica.", 3},
		{cluster, "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.", 1},
		{cluster, "LOADING Redis is loading the dataset in memory", 1},
		{cluster, "CLUSTERDOWN Hash slot not served", 1},
		{cluster, "TRYAGAIN Multiple keys request during rehashing of slot", 1},
		{cluster, "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.", 1},
		{cluster, "NOREPLICAS Not enough good replicas to write.", 1},
		{cluster, "MOVED 0 HERE", 4},
		{cluster, "ASK 0 HERE", 4},
		{cluster, "READONLY You can't write against a read only replica.", 5},
	} {
		word, _, _ := strings.Cut(tc.says, " ")
		for path, body := range map[string]string{"/": slow, "/pipeline": "[" + slow + "]"} {
			t.Run(tc.form+word+path, func(t *testing.T) {
				r := newRefuser(t)
				b := start(t, Options{Redis: tc.form + r.redis.Addr(), Timeout: patience})
				until(t, b, "/", pong)
				r.says.Store(&tc.says)
				got := call(t, b, "POST", path, body)
				if n := r.evals.Load(); n > tc.sent {
					t.Errorf("got the command %d times, want at most %d", n, tc.sent)
				}
				says := strings.ReplaceAll(tc.says, "HERE", r.redis.Addr())
				if !strings.Contains(got.body, `{"error":"`+says) {
					t.Errorf("got %v, want the error %q", got, says)
				}
				r.says.Store(nil)
				until(t, b, "/", pong)
			})
		}
	}
}

// TestRefusedConnections: where Redis refuses the bridge's connection, the caller is told with Redis's own word for it,
// for a pipeline too, and no password.
func TestRefusedConnections(t *testing.T) {
	for _, tc := range []struct{ login, says, want string }{
		{"", "", "NOAUTH"},
		{":not-the-password@", "", "WRONGPASS"},
		{":the-password@", "LOADING Redis is loading the dataset in memory", "LOADING"},
		{":the-password@", "ERR max number of clients reached", "ERR max number of clients"},
		{":the-password@", "DENIED Redis is running in protected mode", "DENIED"},
	} {
		for path, body := range map[string]string{"/": slow, "/pipeline": "[" + slow + "]"} {
			r := newRefuser(t)
			r.redis.RequireAuth("the-password")
			if tc.says != "" {
				r.redis.SetError(tc.says) // to each command, the first of a connection too
			}
			b := start(t, Options{Redis: "redis://" + tc.login + r.redis.Addr()})
			got := call(t, b, "POST", path, body)
			if !strings.Contains(got.body, `"error":"`) || !strings.Contains(got.body, tc.want) || strings.Contains(got.body, "the-password") {
				t.Errorf("login %q, Redis says %q, POST %s: got %v, want an error with %q and no password", tc.login, tc.says, path, got, tc.want)
			}
		}
	}
}
