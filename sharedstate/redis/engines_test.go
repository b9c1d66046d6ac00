package redis

import (
	"bufio"
	"context"
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/weir-mesh/weir/sharedstate/redis/redistest"
)

// testClock stands for clock.lua: the time is the last argument. A real Redis's clock can't be set.
const testClock = "local function clock() return tonumber(ARGV[#ARGV]) end\n"

// engine is a Redis under test.
type engine struct {
	name   string
	client *goredis.Client
	second bool // miniredis beside a redis-server: its Lua, written in Go, takes longer
}

// onEngines runs a test on the real Redis, where it is installed, and on miniredis.
func onEngines(t *testing.T, test func(t *testing.T, e *engine)) {
	t.Run("redis-server", func(t *testing.T) {
		if !redistest.Installed("redis-server") {
			t.Log("redis-server is not installed: this ran on miniredis only")
			return
		}
		test(t, &engine{"redis-server", dial(t, redistest.NewServer(t).Address), false})
	})
	t.Run("miniredis", func(t *testing.T) {
		test(t, &engine{"miniredis", dial(t, startMiniredis(t)), redistest.Installed("redis-server")})
	})
}

// builtMiniredis is the program of package redistest/miniredis, built without the race detector.
var builtMiniredis = sync.OnceValues(func() (program string, err error) {
	if forMiniredis, err = os.MkdirTemp("", "weir-miniredis"); err != nil {
		return "", err
	}
	program = filepath.Join(forMiniredis, "miniredis")
	out, err := exec.Command("go", "build", "-race=false", "-o", program, "./redistest/miniredis").CombinedOutput()
	if err != nil {
		return program, fmt.Errorf("go build: %w\n%s", err, out)
	}
	return program, nil
})

// forMiniredis is where it is built.
var forMiniredis string

func TestMain(m *testing.M) {
	status := m.Run()
	if forMiniredis != "" {
		_ = os.RemoveAll(forMiniredis)
	}
	os.Exit(status)
}

// startMiniredis starts a miniredis, and returns its address.
func startMiniredis(t *testing.T) string {
	t.Helper()
	program, err := builtMiniredis()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program)
	cmd.Stderr = os.Stderr
	input, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = input.Close()
		_ = cmd.Wait()
	})
	address, err := bufio.NewReader(output).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(address)
}

func dial(t *testing.T, addr string) *goredis.Client {
	c := goredis.NewClient(&goredis.Options{Addr: addr, DisableIdentity: true, MaxRetries: -1, ReadTimeout: time.Minute})
	t.Cleanup(func() { _ = c.Close() })
	deadline := time.Now().Add(10 * time.Second)
	for c.Ping(context.Background()).Err() != nil {
		if time.Now().After(deadline) {
			t.Fatalf("no Redis at %s", addr)
		}
		time.Sleep(5 * time.Millisecond)
	}
	return c
}

func (e *engine) clear(t testing.TB) {
	t.Helper()
	if err := e.client.FlushDB(context.Background()).Err(); err != nil {
		t.Fatal(err)
	}
}

// do sends a command, by the script's source if Redis doesn't know it.
func (e *engine) do(c *Command) Result {
	args := make([]any, c.Len())
	for i := range args {
		args[i] = string(c.Word(i))
	}
	got, err := e.client.Do(context.Background(), args...).Result()
	if err != nil {
		return Result{Err: redisError(err.Error())}
	}
	switch got := got.(type) {
	case int64:
		return Result{Ints: []int64{got}}
	case string:
		return Result{Status: got}
	case []any:
		var r Result
		for _, n := range got {
			whole, ok := n.(int64)
			if !ok {
				return Result{Err: malformed(fmt.Sprintf("%T in an array", n))}
			}
			r.Ints = append(r.Ints, whole)
		}
		return r
	default:
		return Result{Err: malformed(fmt.Sprintf("%T", got))}
	}
}

// command is the call of a limit's script that EVALSHA makes, but for the time, which is to be added. The script is the
// one of production, with another clock.
func command(l *Limit, p *Place, a *LeaseRequest) *Command {
	var plain, c Command
	l.Command(&plain, p, a, false)
	c.Text("EVALSHA")
	c.Text(testScripts[l.script].sha)
	for i := 2; i < plain.Len(); i++ {
		c.Text(string(plain.Word(i)))
	}
	return &c
}

// keysOf are the keys of a limit's calls: live proxies, configurations, entries, counts, state …
func keysOf(l *Limit, p *Place) (keys []string) {
	var c Command
	l.Command(&c, p, &LeaseRequest{}, false)
	n, _ := strconv.Atoi(string(c.Word(2)))
	for i := range n {
		keys = append(keys, string(c.Word(3+i)))
	}
	return keys
}

// run runs such a command at a time in microseconds.
func (e *engine) run(l *Limit, c *Command, now int64) Result {
	c.Int(now)
	r := e.do(c)
	if IsNoScript(r.Err) {
		e.client.ScriptLoad(context.Background(), testScripts[l.script].text(""))
		r = e.do(c)
	}
	c.ends = c.ends[:len(c.ends)-1]
	c.buf = c.buf[:c.ends[len(c.ends)-1]]
	return r
}

// call calls a limit's script at a time in microseconds.
func (e *engine) call(t testing.TB, l *Limit, p *Place, a *LeaseRequest, now int64) Reply {
	t.Helper()
	r, err := l.Read(e.run(l, command(l, p, a), now), a)
	if err != nil {
		t.Fatalf("%s at %d, %+v: %v", e.name, now, a, err)
	}
	return r
}

var testScripts = func() map[*Script]*Script {
	m := map[*Script]*Script{}
	for _, s := range scripts {
		source := s.text(testClock)
		sum := sha1.Sum([]byte(source))
		m[s] = &Script{name: s.name, sha: hex.EncodeToString(sum[:]), parts: []*string{&source}}
	}
	return m
}()
