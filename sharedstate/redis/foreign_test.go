package redis

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/weir-mesh/weir/policy/ratelimit"
)

// TestForeignKeys: each key of a limit holds what Weir did not write. A call is then answered, or its error says that
// it is about this limit's record; and a reset, as an operator's, repairs that.
func TestForeignKeys(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	hour := time.Hour
	foreign := []struct {
		name  string
		write func(e *engine, key string) error
	}{
		{"string", func(e *engine, key string) error { return e.client.Set(ctx, key, "x", hour).Err() }},
		{"list", func(e *engine, key string) error { return e.client.RPush(ctx, key, "x").Err() }},
		{"set", func(e *engine, key string) error { return e.client.SAdd(ctx, key, "x").Err() }},
		{"zset", func(e *engine, key string) error {
			return e.client.Do(ctx, "ZADD", key, "inf", "x", "-inf", "y", "0.5", "z").Err()
		}},
		{"hash", func(e *engine, key string) error {
			return e.client.HSet(ctx, key, "t", "x", "l", "x", "a", "x", "c", "x", "h:1", "x", "h:2", "1 2").Err()
		}},
		{"hash of NaN", func(e *engine, key string) error {
			return e.client.HSet(ctx, key, "t", "nan", "l", "nan", "a", "nan", "c", "nan", "h:2", "nan").Err()
		}},
		{"huge hash", func(e *engine, key string) error {
			fields := make([]any, 0, 17_000) // Lua of Redis unpacks 8,000 values
			for i := range 8_500 {
				fields = append(fields, fmt.Sprint("h:", i), i)
			}
			return e.client.HSet(ctx, key, fields...).Err()
		}},
	}
	limits := []*Limit{
		NewSlidingWindow(4, time.Minute, 500*time.Millisecond),
		NewTokenBucket(4, 1, 500*time.Millisecond),
		NewAdaptive(4, time.Minute, 500*time.Millisecond, ratelimit.AdaptiveConfig{Threshold: 0.5, Backoff: 0.5, Recovery: 2, Interval: time.Second, MinSamples: 1}),
	}
	onEngines(t, func(t *testing.T, e *engine) {
		number := int64(0)
		call := func(l *Limit, p *Place) (Reply, error) {
			number++
			a := &LeaseRequest{
				Holder: "h", Number: number, Proxy: "p", Need: 1, Want: 1, Successes: 1,
				Settled: []Settlement{{Number: number - 1, At: began, Uses: [MaxUses]Use{{1, 1}}, Len: 1}},
			}
			return l.Read(e.run(l, command(l, p, a), began+number*1000), a)
		}
		for _, l := range limits {
			for _, p := range []*Place{NewPlace("weir:", "a"), NewKeyedPlace("weir:", "a", "k", 2)} {
				reset := p
				if p.maxKeys > 0 {
					reset = NewKeyedPlace("weir:", "a", "-", 2)
				}
				refused := 0
				for _, key := range keysOf(l, p) {
					for _, f := range foreign {
						e.clear(t)
						number = 0
						if err := f.write(e, key); err != nil {
							t.Fatal(err)
						}
						for range 3 { // a script that failed has written a part
							if _, err := call(l, p); err != nil {
								refused++
								if !isOfRecord(err) {
									t.Errorf("%s, %s, a %s at %s: got %v, want an error of this record", e.name, l.script.name, f.name, key, err)
								}
							}
						}
						var c Command
						l.Reset(&c, reset, true)
						if r := e.do(&c); r.Err != nil || len(r.Ints) != 1 {
							t.Errorf("%s, %s, a %s at %s: reset: got %+v, want the number of keys", e.name, l.script.name, f.name, key, r)
						}
						if got, err := call(l, p); err != nil || got.Granted != 1 {
							t.Errorf("%s, %s, a %s at %s, after a reset: got %+v, %v, want 1 granted", e.name, l.script.name, f.name, key, got, err)
						}
						for _, k := range keysOf(l, p) {
							if kind, ttl := e.client.Type(ctx, k).Val(), e.client.TTL(ctx, k).Val(); kind != "none" && ttl < 0 {
								t.Errorf("%s, %s, a %s at %s, after a reset: %s, a %s, has no expiry", e.name, l.script.name, f.name, key, k, kind)
							}
						}
					}
				}
				if refused < 20 {
					t.Errorf("%s, %s: got %d errors, want 20 or more: the calls reach the keys", e.name, l.script.name, refused)
				}
			}
		}
	})
}

// TestKeysWithoutExpiry get one with the next grant.
func TestKeysWithoutExpiry(t *testing.T) {
	onEngines(t, func(t *testing.T, e *engine) {
		for _, l := range movedLimits {
			e.clear(t)
			p := NewKeyedPlace("weir:", "a", "k", 2)
			take := func(number int64) {
				e.call(t, l, p, &LeaseRequest{Holder: "h", Number: number, Proxy: "p", Need: 1, Want: 1, Successes: 1}, began+number)
			}
			take(1)
			ctx := context.Background()
			for _, key := range keysOf(l, p) {
				e.client.Persist(ctx, key)
			}
			take(2)
			checkKeys(t, e)
		}
	})
}

func isOfRecord(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Scope() == OfRecord
}
