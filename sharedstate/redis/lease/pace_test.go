package lease

import (
	"testing"
	"time"

	"github.com/weir-mesh/weir/sharedstate/redis"
)

var twentyThousandASecond = redis.NewSlidingWindow(20_000, time.Second, 100*time.Millisecond)

func TestPace(t *testing.T) {
	for _, tc := range []struct {
		name       string
		limit      *redis.Limit
		config     Config
		lately     int64
		left       int64
		took, busy int64 // ms
		want       int64 // ms
	}{
		{name: "1,000 proxies", lately: 1000, took: 1, busy: 10_000, want: 200},
		{name: "a tenth of the limit is left", lately: 1000, left: 2000, took: 1, busy: 10_000, want: 181},
		{name: "more than a quarter is left", lately: 1000, left: 5001, took: 1, busy: 10_000},
		{name: "and Redis is slow", lately: 1000, left: 5001, took: 15, busy: 10_000, want: 150},
		{name: "Redis is very slow", lately: 1000, took: 60, busy: 10_000, want: 200},
		{name: "a burst begins", lately: 1000, took: 1, busy: 0, want: 10},
		{name: "a burst of 100 ms", lately: 1000, took: 1, busy: 100, want: 50},
		{name: "few proxies", lately: 200, took: 1, busy: 10_000},
		{name: "a limit for which Redis is fast enough", limit: redis.NewSlidingWindow(5000, time.Second, 100*time.Millisecond), lately: 1000, took: 1, busy: 10_000},
		{name: "a bucket", limit: redis.NewTokenBucket(20_000, 20_000, 100*time.Millisecond), lately: 1000, took: 1, busy: 10_000, want: 200},
		{name: "max_tokens below a batch", config: Config{MaxTokens: 5}, lately: 1000, took: 1, busy: 10_000},
		{name: "max_tokens as a batch", config: Config{MaxTokens: 6}, lately: 1000, took: 1, busy: 10_000, want: 200},
		{name: "by key", config: Config{keyed: true}, lately: 1000, took: 1, busy: 10_000},
	} {
		t.Run(tc.name, func(t *testing.T) {
			limit := tc.limit
			if limit == nil {
				limit = twentyThousandASecond
			}
			h := newHolder(limit, tc.config)
			h.lastReply = redis.Reply{Limit: 20_000, Remaining: tc.left, Live: 1000, Lately: tc.lately}
			if got := h.paceAfter(h.lastReply, tc.took*ms, tc.busy*ms) / ms; got != tc.want {
				t.Errorf("got a pace of %d ms, want %d", got, tc.want)
			}
		})
	}
}

// TestPacedHolder: after a grant of a limit that is nearly used up, requests are refused until shortly before the next
// call is due, then they wait for it, and a tick makes it, for a batch.
func TestPacedHolder(t *testing.T) {
	h := newHolder(twentyThousandASecond, Config{MaxWaiters: 10})
	now := ms
	for ; now < 1000*ms; now += 25 * ms { // 40 requests a second, which wait for the first reply
		h.noteBurst(now)
		h.demand.add(1, now)
	}
	take(t, h, now, Waiting, true)
	first := nextCall(t, h, now)
	now += ms
	checkDecisions(t, h.Reply(first.Number, redis.Reply{At: 1, Granted: 2, Remaining: 100, Limit: 20_000, Live: 1000, Lately: 1000}, now), Decisions{Granted: 1})
	replied, due := now, h.notBefore
	if pace := due - replied; pace < 150*ms || pace > 250*ms {
		t.Fatalf("got the next call due after %d ms, want 200 ms, a quarter more or less", pace/ms)
	}
	take(t, h, now, Granted, false)
	take(t, h, now+ms, Refused, false)
	if v := take(t, h, due-49*ms, Refused, false); v.RetryAfter != time.Duration(49*ms) {
		t.Errorf("refused: got RetryAfter %v, want the 49 ms to the next call", v.RetryAfter)
	}
	take(t, h, due-47*ms, Waiting, false)
	take(t, h, due-20*ms, Waiting, false)
	checkDecisions(t, h.Tick(due-ms), Decisions{})
	checkDecisions(t, h.Tick(due), Decisions{CallDue: true})
	second := nextCall(t, h, due)
	if second.Need != 2 || second.Want < 4 || second.Want > 6 {
		t.Errorf("got a call that needs %d and wants %d, want 2 and a batch of up to 6", second.Need, second.Want)
	}
	checkDecisions(t, h.Reply(second.Number, redis.Reply{At: 2, Granted: 1, RetryAfter: 1000, Limit: 20_000, Live: 1000, Lately: 1000}, due+ms),
		Decisions{Granted: 1, Refused: 1, RetryAfter: time.Duration(h.notBefore - due - ms)})
}
