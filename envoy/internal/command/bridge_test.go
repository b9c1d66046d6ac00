package command

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestBridgeUsage(t *testing.T) {
	for line, want := range map[string]string{
		"bridge":                                               "no Redis: give its URL",
		"bridge --embedded --redis redis://h":                  "exclude each other",
		"bridge --embedded now":                                "unknown command",
		"bridge --embedded --timeout soon":                     "invalid argument",
		"bridge --embedded --listen 0.0.0.0:7379":              "the bridge has no token",
		"bridge --redis redis://:secret@h/db":                  "redis URL: invalid database number",
		"bridge --embedded --allow SUBSCRIBE":                  "SUBSCRIBE cannot be allowed: it needs a connection of its own",
		"bridge --redis redis+sentinel://h --allow GET,LLEN,*": "is not a command",
	} {
		t.Run(line, func(t *testing.T) {
			got := run(t, "", strings.Fields(line)...)
			if got.status != StatusUsage || got.out != "" || !strings.Contains(got.err, want) || !strings.Contains(got.err, "--help") || strings.Contains(got.err, "secret") {
				t.Errorf("got %+v, want status 2 and %q", got, want)
			}
		})
	}
}

func TestBridgeFails(t *testing.T) {
	if got := run(t, "", "bridge", "--embedded", "--listen", "192.0.2.1:7379", "--insecure"); got.status != StatusFailed || !strings.Contains(got.err, "weir: listen tcp 192.0.2.1:7379") {
		t.Errorf("got %+v, want status 1", got)
	}
}

// The secrets may come from the environment, and --help and the log do not show them.
func TestBridgeServes(t *testing.T) {
	t.Setenv("WEIR_BRIDGE_TOKEN", "s3cret")
	t.Setenv("REDIS_URL", "redis://:s3cret@127.0.0.1:1")
	if got := run(t, "", "bridge", "--help"); got.status != StatusOK || strings.Contains(got.out, "s3cret") || !strings.Contains(got.out, "Examples:\n  weir bridge --embedded") {
		t.Errorf("got %+v, want status 0, examples and no secret", got)
	}
	ctx, stop := context.WithCancel(t.Context())
	out, in := io.Pipe()
	ended := make(chan int)
	go func() {
		ended <- Run(ctx, []string{"bridge", "--listen", "127.0.0.1:0", "--drain", "0s", "--timeout", "50ms"}, Streams{Out: io.Discard, Err: in})
		_ = in.Close()
	}()
	head := make([]byte, 4096)
	n, err := out.Read(head)
	if err != nil {
		t.Fatal(err)
	}
	line, log := string(head[:n]), new(bytes.Buffer)
	read := make(chan struct{})
	go func() { _, _ = io.Copy(log, out); close(read) }()
	_, address, found := strings.Cut(line, "http://")
	address, _, _ = strings.Cut(address, " ")
	if !found || !strings.Contains(line, "token_required=true redis=127.0.0.1:1 ") {
		t.Fatalf("got log line %q, want the URL, token_required=true and redis=127.0.0.1:1", line)
	}
	for token, want := range map[string]int{"s3cret": http.StatusServiceUnavailable, "other": http.StatusUnauthorized} {
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+address, strings.NewReader(`["PING"]`))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+token)
		response, err := (&http.Client{Timeout: 10 * time.Second}).Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != want {
			t.Errorf("token %s: got status %d, want %d", token, response.StatusCode, want)
		}
	}
	stop()
	if status := <-ended; status != StatusOK {
		t.Errorf("got exit status %d, want %d", status, StatusOK)
	}
	if <-read; strings.Contains(line+log.String(), "s3cret") || !strings.Contains(log.String(), `level=WARN msg="Redis does not answer" redis=127.0.0.1:1 error="`) {
		t.Errorf("got log %s%s, want that Redis does not answer, and no secret", line, log)
	}
}
