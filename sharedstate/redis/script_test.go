package redis

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/weir-mesh/weir/policy/ratelimit"
	"github.com/weir-mesh/weir/sharedstate/redis/redistest"
)

var scripts = []*Script{&slidingWindowScript, &adaptiveScript, &tokenBucketScript, &resetScript}

func TestDigestsAreThoseOfTheSources(t *testing.T) {
	for _, s := range scripts {
		sum := sha1.Sum([]byte(s.Source()))
		if got := hex.EncodeToString(sum[:]); got != s.SHA() {
			t.Errorf("%s: sha.go has %s, want %s", s.name, s.SHA(), got)
		}
		if body := s.text(""); !strings.HasPrefix(s.Source(), clockLua) || strings.Contains(body, "'TIME'") || s.Source()[len(clockLua):] != body {
			t.Errorf("%s: got a script with another clock than clock.lua, want that one only", s.name)
		}
	}
}

// TestScriptsAsTheyAre runs what production runs: by digest, by source where Redis forgot the script, with Redis's own
// clock.
func TestScriptsAsTheyAre(t *testing.T) {
	limits := []*Limit{
		NewSlidingWindow(3, time.Minute, 500*time.Millisecond),
		NewTokenBucket(3, 0.01, 500*time.Millisecond),
		NewAdaptive(3, time.Minute, 500*time.Millisecond, ratelimit.AdaptiveConfig{Threshold: 0.5, Backoff: 0.5, Recovery: 2, Interval: time.Minute, MinSamples: 1}),
	}
	onEngines(t, func(t *testing.T, e *engine) {
		for _, l := range limits {
			for _, p := range []*Place{NewPlace("weir:", "a{b}/%"), NewKeyedPlace("w{}", "a", "0123", 2)} {
				e.clear(t)
				if err := e.client.ScriptFlush(context.Background()).Err(); err != nil {
					t.Fatal(err)
				}
				call := func(number, n int64, source bool) (Reply, error) {
					var c Command
					a := LeaseRequest{Holder: "h", Number: number, Proxy: "p", Need: n, Want: n}
					l.Command(&c, p, &a, source)
					return l.Read(e.do(&c), &a)
				}
				if _, err := call(1, 1, false); !IsNoScript(err) {
					t.Fatalf("%s: got %v, want a missing script", l.script.name, err)
				}
				r, err := call(1, 1, true)
				want := l.numbers[0]
				if l.script == &tokenBucketScript {
					want /= nano
				}
				if err != nil || r.Granted != 1 || r.Remaining != want-1 || r.Limit != want || r.Live != 1 {
					t.Fatalf("%s: %+v, %v", l.script.name, r, err)
				}
				if away := time.Since(time.UnixMicro(r.At)).Abs(); away > time.Minute {
					t.Fatalf("%s: got a time of grant that is %v away, want now", l.script.name, away)
				}
				r, err = call(2, 5, false)
				if err != nil || r.Granted != want-1 || r.Remaining != 0 || r.RetryAfter <= 0 {
					t.Fatalf("%s: %+v, %v", l.script.name, r, err)
				}
				again, err := call(2, 5, false)
				if err != nil || again.At != r.At || again.Granted != r.Granted {
					t.Fatalf("%s: a call delivered twice: got %+v, %v, want %+v", l.script.name, again, err, r)
				}
				checkKeys(t, e)
				var c Command
				l.Reset(&c, p, true)
				if got := e.do(&c); got.Err != nil || len(got.Ints) != 1 || got.Ints[0] < 2 {
					t.Fatalf("%s: reset: got %+v, want 2 or more keys", l.script.name, got)
				}
				if r, err = call(3, 1, false); err != nil || r.Granted != 1 || r.Remaining != want-1 {
					t.Fatalf("%s: after a reset: got %+v, %v, want 1 granted, %d left", l.script.name, r, err, want-1)
				}
			}
		}
	})
}

// checkKeys checks that all keys have one hash tag, and an expiry.
func checkKeys(t *testing.T, e *engine) {
	t.Helper()
	ctx := context.Background()
	keys, err := e.client.Keys(ctx, "*").Result()
	if err != nil || len(keys) < 3 {
		t.Fatal(keys, err)
	}
	tags := map[string]bool{}
	for _, key := range keys {
		_, rest, _ := strings.Cut(key, "{")
		tag, _, found := strings.Cut(rest, "}")
		tags[tag] = true
		if !found || tag == "" || len(tags) != 1 {
			t.Errorf("%q: got hash tags %v, want one", key, tags)
		}
		if ttl := e.client.PTTL(ctx, key).Val(); ttl <= 0 {
			t.Errorf("%q: got an expiry of %v, want one above 0", key, ttl)
		}
	}
}

// TestScriptsWithoutMemory: a Redis that has reached maxmemory refuses every call of a limit, whatever it would write.
func TestScriptsWithoutMemory(t *testing.T) {
	if !redistest.Installed("redis-server") {
		t.Skip("redis-server is not installed: miniredis has no maxmemory")
	}
	ctx := context.Background()
	e := &engine{"redis-server", dial(t, redistest.NewServer(t).Address), false}
	for _, l := range []*Limit{
		NewSlidingWindow(3, time.Minute, 500*time.Millisecond),
		NewTokenBucket(3, 0.01, 500*time.Millisecond),
		NewAdaptive(3, time.Minute, 500*time.Millisecond, ratelimit.AdaptiveConfig{Threshold: 0.5, Backoff: 0.5, Recovery: 2, Interval: time.Minute, MinSamples: 1}),
	} {
		e.clear(t)
		for number, memory := range []string{"0", "1", "1", "0"} {
			if err := e.client.ConfigSet(ctx, "maxmemory", memory).Err(); err != nil {
				t.Fatal(err)
			}
			var c Command
			a := LeaseRequest{Holder: "h", Number: int64(number) + 1, Proxy: "p", Need: 1, Want: 1}
			l.Command(&c, NewKeyedPlace("weir:", "a", "k", 2), &a, true)
			_, err := l.Read(e.do(&c), &a)
			if refused := err != nil && strings.Contains(err.Error(), "OOM"); refused != (memory == "1") || !refused && err != nil {
				t.Errorf("%s, call %d with maxmemory %s: got %v", l.script.name, number+1, memory, err)
			}
		}
	}
}
