package redis

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/weir-mesh/weir/policy/ratelimit"
	"github.com/weir-mesh/weir/sharedstate/redis/redistest"
	"github.com/weir-mesh/weir/sharedstate/redis/redistest/port"
	"github.com/weir-mesh/weir/sharedstate/redis/redistest/process"
)

// TestWebdis speaks to the real one: what is sent is understood, and what comes back is read.
func TestWebdis(t *testing.T) {
	if !redistest.Installed("redis-server") || !redistest.Installed("webdis") {
		t.Log("redis-server or webdis is not installed: the dialect was held to recorded bytes only")
		return
	}
	httpPort := port.Reserve(t)
	address := fmt.Sprintf("127.0.0.1:%d", httpPort)
	config, err := json.Marshal(map[string]any{
		"redis_host": "127.0.0.1", "redis_port": redistest.NewServer(t).Port, "http_host": "127.0.0.1", "http_port": httpPort,
		"threads": 1, "pool_size": 2, "daemonize": false, "websockets": false, "database": 0, "verbosity": 0, "logfile": os.DevNull,
	})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "webdis.json")
	if err := os.WriteFile(file, config, 0o600); err != nil {
		t.Fatal(err)
	}
	webdis := process.Program{Path: "webdis", Args: []string{file}, Address: address}
	webdis.Start(t)

	dialect := &Webdis{}
	send := func(c *Command) ([]Result, error) {
		status, body, err := post(address, dialect.Request([]Command{*c}))
		if err != nil {
			return nil, err
		}
		return dialect.Results(nil, status, body, []Command{*c})
	}
	one := func(c *Command) Result {
		t.Helper()
		got, err := send(c)
		if err != nil || len(got) != 1 {
			t.Fatal(got, err)
		}
		return got[0]
	}
	var c Command
	c.Ping()
	deadline := time.Now().Add(10 * time.Second)
	for {
		if got, err := send(&c); err == nil && got[0].Status == "PONG" {
			break
		} else if time.Now().After(deadline) {
			t.Fatal(got, err)
		}
		time.Sleep(5 * time.Millisecond)
	}
	place := NewKeyedPlace("weir:%/", "out.bound|80||a.b/{c}.json", "k.json", 5)
	for _, l := range []*Limit{
		NewSlidingWindow(5, time.Minute, time.Second),
		NewTokenBucket(5, 0.001, time.Second),
		NewAdaptive(5, time.Minute, time.Second, ratelimit.AdaptiveConfig{Threshold: 0.5, Backoff: 0.5, Recovery: 2, Interval: time.Second, MinSamples: 1}),
	} {
		req := &LeaseRequest{Holder: "a.b-1/2", Number: 1, Proxy: "é p", Need: 2, Want: 2, Successes: 1}
		l.Command(&c, place, req, false)
		if got := one(&c); !IsNoScript(got.Err) {
			t.Fatalf("%s: %+v, want a missing script", l.script.name, got)
		}
		l.Command(&c, place, req, true)
		if r, err := l.Read(one(&c), req); err != nil || r.Granted != 2 || r.Remaining < 2 {
			t.Fatalf("%s: %+v, %v", l.script.name, r, err)
		}
		req = &LeaseRequest{Holder: "a.b-1/2", Number: 2, Proxy: "é p", Settled: []Settlement{{Number: 1}}}
		l.Command(&c, place, req, false)
		if r, err := l.Read(one(&c), req); err != nil || r.Remaining < 4 {
			t.Fatalf("%s: %+v, %v", l.script.name, r, err)
		}
		l.Reset(&c, place, true)
		if got := one(&c); got.Err != nil || len(got.Ints) != 1 || got.Ints[0] < 2 {
			t.Fatalf("%s: reset: %+v", l.script.name, got)
		}
	}
}

// post sends a request and reads the answer (the pure packages have no HTTP client).
func post(addr string, r Request) (status int, body []byte, err error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = conn.Close() }()
	fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: webdis\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", r.Method, r.Path, r.ContentType, len(r.Body), r.Body)
	reader := bufio.NewReader(conn)
	text := textproto.NewReader(reader)
	line, err := text.ReadLine()
	if err != nil {
		return 0, nil, err
	}
	if _, err := fmt.Sscanf(line, "HTTP/1.1 %d", &status); err != nil {
		return 0, nil, err
	}
	header, err := text.ReadMIMEHeader()
	if err != nil {
		return 0, nil, err
	}
	length, err := strconv.Atoi(header.Get("Content-Length"))
	if err != nil {
		return 0, nil, err
	}
	body = make([]byte, length)
	_, err = io.ReadFull(reader, body)
	return status, body, err
}
