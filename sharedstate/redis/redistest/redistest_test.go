package redistest

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"
)

func TestFlushScriptsAndRestart(t *testing.T) {
	server := NewServer(t)
	ctx := t.Context()
	sha, err := server.Client.ScriptLoad(ctx, "return 1").Result()
	if err != nil {
		t.Fatal(err)
	}
	server.FlushScripts(t)
	if known, err := server.Client.ScriptExists(ctx, sha).Result(); err != nil || known[0] {
		t.Errorf("got %v, %v, want the script forgotten", known, err)
	}
	if err := server.Client.Set(ctx, "key", "value", 0).Err(); err != nil {
		t.Fatal(err)
	}
	before := server.PID()
	server.Restart(t)
	if n, err := server.Client.DBSize(ctx).Result(); err != nil || n != 0 || server.PID() == before {
		t.Errorf("got %d keys, %v, process %d after %d, want another process with none", n, err, server.PID(), before)
	}
	if off := time.Since(server.Now(t)).Abs(); off > time.Minute {
		t.Errorf("got Redis's clock off by %v, want less than a minute", off)
	}
}

// Nothing is left behind by a killed server.
func TestKilledLeavesNothing(t *testing.T) {
	server := NewServer(t)
	server.Pause(t)
	server.Kill()
	if files, err := filepath.Glob(fmt.Sprintf("/proc/%d", server.PID())); err != nil || len(files) != 0 {
		t.Errorf("got process %d still running (%v), want it ended", server.PID(), err)
	}
}

func TestParseCalls(t *testing.T) {
	const text = "# Commandstats\r\ncmdstat_evalsha:calls=21,usec=175,usec_per_call=8.33,rejected_calls=0,failed_calls=0\r\ncmdstat_script|flush:calls=1,usec=2\r\n"
	calls, err := parseCalls(text)
	if err != nil || len(calls) != 2 || calls["evalsha"] != 21 || calls["script|flush"] != 1 {
		t.Errorf("got %v, %v, want 21 evalsha and one script|flush", calls, err)
	}
	if _, err := parseCalls("cmdstat_get:calls=many"); err == nil {
		t.Error("got no error, want one for a count that is not a number")
	}
}

// A replica is the master after a failover, and knows no script that was only loaded by its sha1.
func TestFailover(t *testing.T) {
	master, replica := NewServer(t), NewServer(t)
	replica.Follow(t, master)
	sentinel := NewSentinel(t, master)
	if got := sentinel.Master(t); got != master.Address {
		t.Fatalf("the Sentinel names %s, want %s", got, master.Address)
	}
	sentinel.Failover(t)
	if got := sentinel.Master(t); got != replica.Address {
		t.Errorf("the Sentinel names %s, want %s", got, replica.Address)
	}
	if err := replica.Client.Set(t.Context(), "key", "value", 0).Err(); err != nil {
		t.Errorf("write to the new master: %v", err)
	}
}
