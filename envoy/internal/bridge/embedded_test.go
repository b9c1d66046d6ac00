package bridge

import (
	"encoding/json"
	"strconv"
	"testing"
	"time"
)

// In the embedded Redis keys expire and TIME advances with the machine's clock, also in scripts.
func TestEmbeddedClock(t *testing.T) {
	b := start(t, Options{Embedded: true, Allow: []string{"SCRIPT LOAD", "TIME", "PTTL"}})
	const script = `redis.call('SET', KEYS[1], 'x', 'PX', ARGV[1]) local now = redis.call('TIME') return {redis.call('PTTL', KEYS[1]), tonumber(now[1]), tonumber(now[2])}`
	var sha struct{ Result string }
	decode(t, call(t, b, "POST", "/", commandJSON(t, "SCRIPT", "LOAD", script)), &sha)
	const life = 300
	began := time.Now()
	var got struct{ Result [3]int64 }
	decode(t, call(t, b, "POST", "/", commandJSON(t, "EVALSHA", sha.Result, "1", "{k}", strconv.Itoa(life))), &got)
	if now := time.Unix(got.Result[1], got.Result[2]*1000); now.Before(began.Truncate(time.Microsecond)) || now.After(time.Now()) || got.Result[0] <= 0 || got.Result[0] > life {
		t.Errorf("got %v, want up to %d ms to live and TIME between %v and now", got, life, began)
	}
	var left struct{ Result int64 }
	for last := int64(life); ; last = left.Result {
		decode(t, call(t, b, "POST", "/", `["PTTL","{k}"]`), &left)
		if left.Result == -2 {
			break
		}
		if left.Result > last || time.Since(began) > patience {
			t.Fatalf("%d ms to live after %d, %v from its start", left.Result, last, time.Since(began))
		}
	}
	if took := time.Since(began); took < life*time.Millisecond {
		t.Errorf("got an expired key after %v, want at least %d ms", took, life)
	}
}

// Only the bridge can log in to the embedded Redis.
func TestEmbeddedPassword(t *testing.T) {
	b := start(t, Options{Embedded: true})
	stranger := start(t, Options{Redis: "redis://" + b.embedded.redis.Addr()})
	if got := call(t, stranger, "POST", "/", `["PING"]`); got != (reply{503, `{"error":"ERR Redis refuses the bridge's connection: NOAUTH Authentication required."}`}) {
		t.Errorf("got %v", got)
	}
	if got := call(t, stranger, "GET", "/health", ""); got != (reply{503, `{"status":"redis cannot be used"}`}) {
		t.Errorf("health: got %v", got)
	}
}

func commandJSON(t *testing.T, arguments ...string) string {
	t.Helper()
	text, err := json.Marshal(arguments)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func decode(t *testing.T, from reply, to any) {
	t.Helper()
	if err := json.Unmarshal([]byte(from.body), to); err != nil || from.status != 200 {
		t.Fatalf("got %v: %v", from, err)
	}
}
