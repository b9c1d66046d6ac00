package simulation

import (
	"context"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	goredis "github.com/redis/go-redis/v9"

	"github.com/weir-mesh/weir/sharedstate/redis"
)

// both asks the simulation's Redis and miniredis, and compares.
type both struct {
	t      testing.TB
	server *server
	mini   *miniredis.Miniredis
	client *goredis.Client
	now    int64 // µs
	calls  int
}

func newBoth(t testing.TB) *both {
	b := &both{t: t, server: newServer(), mini: miniredis.RunT(t)}
	b.client = goredis.NewClient(&goredis.Options{Addr: b.mini.Addr(), DisableIdentity: true, MaxRetries: -1})
	t.Cleanup(func() { _ = b.client.Close() })
	return b
}

func (b *both) do(c *redis.Command, now int64) redis.Result {
	b.t.Helper()
	b.calls++
	if b.now != 0 {
		b.mini.FastForward(time.Duration(now-b.now) * time.Microsecond) // that is for expiries
	}
	b.now = now
	b.mini.SetTime(time.UnixMicro(now)) // and that for TIME
	args := make([]any, c.Len())
	for i := range args {
		args[i] = string(c.Word(i))
	}
	got := b.server.do(c, now)
	reply, err := b.client.Do(context.Background(), args...).Int64Slice()
	switch {
	case err != nil && goredis.HasErrorPrefix(err, "NOSCRIPT"):
		if !redis.IsNoScript(got.Err) {
			b.t.Fatalf("call %d: miniredis does not know the script, we answer %+v", b.calls, got)
		}
	case err != nil:
		b.t.Fatalf("call %d: %v; we answer %+v", b.calls, err, got)
	case got.Err != nil || !slices.Equal(got.Ints, reply):
		b.t.Fatalf("call %d at %d, %q:\nminiredis answers %v\nwe answer        %v %v", b.calls, now, args[3:], reply, got.Ints, got.Err)
	}
	return got
}

// compare compares all that the two keep.
func (b *both) compare() {
	b.t.Helper()
	keys := b.mini.Keys()
	live := 0
	for key, v := range b.server.keys {
		if v.expires > b.now {
			live++
			if !slices.Contains(keys, key) {
				b.t.Errorf("%s: miniredis does not have it", key)
			}
		}
	}
	if live != len(keys) || live == 0 {
		b.t.Errorf("%d keys, miniredis has %v", live, keys)
	}
	for _, key := range keys {
		v := b.server.keys[key]
		if v == nil {
			b.t.Errorf("%s: we do not have it", key)
			continue
		}
		if v.zset != nil {
			scores, err := b.mini.SortedSet(key)
			if err != nil || !maps.Equal(scores, v.zset.scores) {
				b.t.Errorf("%s: %v, miniredis has %v %v", key, v.zset.scores, scores, err)
			}
			continue
		}
		fields, err := b.mini.HKeys(key)
		if err != nil || len(fields) != len(v.hash) {
			b.t.Errorf("%s: %v, miniredis has %v %v", key, v.hash, fields, err)
		}
		for _, f := range fields {
			if got := b.mini.HGet(key, f); got != v.hash[f] {
				b.t.Errorf("%s %s: %q, miniredis has %q", key, f, v.hash[f], got)
			}
		}
	}
}

// TestRedisIsMiniredis lets small meshes with all kinds of trouble ask both: each answer is the same, and in the end so is
// what they keep.
func TestRedisIsMiniredis(t *testing.T) {
	trouble := conditions[len(conditions)-1]
	trouble.pause = false // it would make the runs longer
	short := []rule{
		window("50/s", 50, time.Second, 0, 3*second, 3*second),
		window("2,000/s", 2000, time.Second, 0, 2*second, 2*second), // times of use are rounded
		window("5/200 ms", 5, 200*time.Millisecond, 0, 4*second, 4*second),
		bucket("bucket 20, 50/s", 20, 50),
		adaptive("adaptive 100/s", 100),
	}
	for i, r := range short {
		for _, keyed := range []bool{false, true} {
			name := r.name
			if keyed {
				name += ", keyed"
			}
			if keyed && i < 2 { // two windows are enough, and miniredis compiles a script at each call
				continue
			}
			t.Run(name, func(t *testing.T) {
				r.warm, r.measured = 0, min(r.measured, 3*second)
				b := newBoth(t)
				s := &scenario{rule: r, condition: trouble, proxies: 4, load: 2, seed: *seed, redis: b, keyed: keyed}
				s.run(t)
				b.compare()
				if b.calls < 50 {
					t.Errorf("only %d calls", b.calls)
				}
			})
		}
	}
}
