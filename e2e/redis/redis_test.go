package redis

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// eval asks a bridge for a script's result, in its own dialect.
func eval(t *testing.T, b *Bridge, script string) (status int, body string, err error) {
	t.Helper()
	text := []byte("EVAL/" + strings.ReplaceAll(script, " ", "%20") + "/0")
	if b.Kind == Upstash {
		if text, err = json.Marshal([]string{"EVAL", script, "0"}); err != nil {
			t.Fatal(err)
		}
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, fmt.Sprintf("http://127.0.0.1:%d/", b.Port), bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+b.Token)
	response, err := (&http.Client{Timeout: 5 * time.Second}).Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	return response.StatusCode, string(content), err
}

// answers waits until a script returns 7 through a bridge.
func answers(t *testing.T, b *Bridge) {
	t.Helper()
	want := map[Kind]string{Webdis: `{"EVAL":7}`, Upstash: `{"result":7}`}[b.Kind]
	var status int
	var body string
	var err error
	for deadline := time.Now().Add(readyTimeout); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if status, body, err = eval(t, b, "return 7"); status == http.StatusOK && body == want {
			return
		}
	}
	t.Fatalf("%s: got %d %q %v, want 200 %q", b.Kind, status, body, err, want)
}

func TestBridges(t *testing.T) {
	for _, kind := range Kinds(t) {
		t.Run(string(kind), func(t *testing.T) {
			server, bridge := Start(t, kind)
			answers(t, bridge)
			if bridge.CPU(t) <= 0 {
				t.Error("the bridge used no CPU time")
			}
			bridge.Kill()
			if _, _, err := eval(t, bridge, "return 7"); err == nil {
				t.Error("a killed bridge answers")
			}
			bridge.Restart(t)
			answers(t, bridge)
			if server == nil {
				return
			}
			server.ResetCalls(t)
			answers(t, bridge)
			if calls := server.Calls(t); calls["eval"] != 1 {
				t.Errorf("got %v, want one eval", calls)
			}
			server.Restart(t)
			answers(t, bridge)
		})
	}
}

func TestPause(t *testing.T) {
	server, bridge := Start(t, Upstash)
	if server == nil {
		t.Skip("redis-server is not installed: nothing to pause")
	}
	answers(t, bridge)
	server.Pause(t)
	if status, body, err := eval(t, bridge, "return 7"); status != http.StatusGatewayTimeout {
		t.Errorf("Redis paused: got %d %q %v, want 504", status, body, err)
	}
	server.Continue(t)
	answers(t, bridge)
	bridge.Pause(t)
	bridge.Continue(t)
	answers(t, bridge)
}

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
	before := server.Pid()
	server.Restart(t)
	if n, err := server.Client.DBSize(ctx).Result(); err != nil || n != 0 || server.Pid() == before {
		t.Errorf("got %d keys, %v, process %d after %d, want another process with none", n, err, server.Pid(), before)
	}
	if off := time.Since(server.Now(t)).Abs(); off > time.Minute {
		t.Errorf("Redis's clock is off by %v", off)
	}
}

// Nothing is left behind by a killed server.
func TestKilledLeavesNothing(t *testing.T) {
	server := NewServer(t)
	server.Pause(t)
	server.Kill()
	if files, err := filepath.Glob(fmt.Sprintf("/proc/%d", server.Pid())); err != nil || len(files) != 0 {
		t.Errorf("process %d is still there (%v)", server.Pid(), err)
	}
}

func TestTerminate(t *testing.T) {
	_, bridge := Start(t, Upstash)
	answers(t, bridge)
	if status := bridge.Terminate(t); status != 0 {
		t.Errorf("exit status %d after SIGTERM, want 0; it wrote:\n%s", status, bridge.Logs())
	}
	if !strings.Contains(bridge.Logs(), `msg="bridge stopped"`) {
		t.Errorf("no word of its end in:\n%s", bridge.Logs())
	}
}

func TestParseCalls(t *testing.T) {
	const text = "# Commandstats\r\ncmdstat_evalsha:calls=21,usec=175,usec_per_call=8.33,rejected_calls=0,failed_calls=0\r\ncmdstat_script|flush:calls=1,usec=2\r\n"
	calls, err := parseCalls(text)
	if err != nil || len(calls) != 2 || calls["evalsha"] != 21 || calls["script|flush"] != 1 {
		t.Errorf("got %v, %v", calls, err)
	}
	if _, err := parseCalls("cmdstat_get:calls=many"); err == nil {
		t.Error("no error for a count that is none")
	}
}

// A replica is the master after a failover, and knows no script that was only loaded by its sha1.
func TestFailover(t *testing.T) {
	master, replica := NewServer(t), NewServer(t)
	replica.Follow(t, master)
	sentinel := NewSentinel(t, master)
	if got := sentinel.Master(t); got != master.address {
		t.Fatalf("the Sentinel names %s, want %s", got, master.address)
	}
	sentinel.Failover(t)
	if got := sentinel.Master(t); got != replica.address {
		t.Errorf("the Sentinel names %s, want %s", got, replica.address)
	}
	if err := replica.Client.Set(t.Context(), "key", "value", 0).Err(); err != nil {
		t.Errorf("write to the new master: %v", err)
	}
}
