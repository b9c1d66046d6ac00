package redis

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
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

// answerTimeout is for a machine that is busy with other tests.
const answerTimeout = 20 * time.Second

// answers waits until a script returns 7 through a bridge.
func answers(t *testing.T, b *Bridge) {
	t.Helper()
	want := map[Kind]string{Webdis: `{"EVAL":7}`, Upstash: `{"result":7}`}[b.Kind]
	var status int
	var body string
	var err error
	for deadline := time.Now().Add(answerTimeout); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
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
				t.Error("got no CPU time of the bridge, want some")
			}
			bridge.Kill()
			if _, _, err := eval(t, bridge, "return 7"); err == nil {
				t.Error("got an answer of a killed bridge, want none")
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

func TestTerminate(t *testing.T) {
	_, bridge := Start(t, Upstash)
	answers(t, bridge)
	if status := bridge.Terminate(t); status != 0 {
		t.Errorf("exit status %d after SIGTERM, want 0; it wrote:\n%s", status, bridge.Output())
	}
	if !strings.Contains(bridge.Output(), `msg="bridge stopped"`) {
		t.Errorf("got no line about the end, want one in:\n%s", bridge.Output())
	}
}
