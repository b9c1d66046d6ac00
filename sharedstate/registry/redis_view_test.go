package registry

import (
	"bytes"
	"testing"

	"github.com/weir-mesh/weir/policy"
	"github.com/weir-mesh/weir/sharedstate"
)

func TestRedisViewIsTheLatest(t *testing.T) {
	s, rules := sharedstate.NewMemory(), &policy.RateLimit{Requests: 100}
	latest := RedisView{PublishedAt: 3, RedisTime: 30, Limit: 100, Remaining: 30, SuccessRatio: 0.5, SuccessRatioKnown: true}
	for _, v := range []RedisView{
		{PublishedAt: 1, RedisTime: 10, Limit: 100, Remaining: 50},
		latest,
		{PublishedAt: 4, RedisTime: 20, Limit: 100, Remaining: 40}, // a late reply to another worker
	} {
		if err := v.Publish(s, "a", rules); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := ReadRedisView(s, "a", rules); err != nil || got != latest {
		t.Errorf("got %+v, %v, want %+v", got, err, latest)
	}
}

// TestRedisViewAfterTheClockWentBack: a server whose clock is behind took Redis's place. Its replies count, but where it
// is less than a minute behind only after a minute: until then they may be late replies to other workers.
func TestRedisViewAfterTheClockWentBack(t *testing.T) {
	const hour, halfMinute = 3600 * 1_000_000, 30_000_000 // of Redis's clock
	s, rules := sharedstate.NewMemory(), &policy.RateLimit{Requests: 100}
	for _, tc := range []struct {
		view RedisView
		want int64 // remaining
	}{
		{RedisView{PublishedAt: 100 * second, RedisTime: 2 * hour, Limit: 100, Remaining: 50}, 50},
		{RedisView{PublishedAt: 101 * second, RedisTime: hour, Limit: 100, Remaining: 40}, 40},
		{RedisView{PublishedAt: 102 * second, RedisTime: hour - halfMinute, Limit: 100, Remaining: 30}, 40},
		{RedisView{PublishedAt: 162 * second, RedisTime: hour - halfMinute + 1, Limit: 100, Remaining: 20}, 20},
		{RedisView{PublishedAt: 163 * second, RedisTime: hour - halfMinute + 2, Limit: 100, Remaining: 10}, 10},
	} {
		if err := tc.view.Publish(s, "a", rules); err != nil {
			t.Fatal(err)
		}
		if got, err := ReadRedisView(s, "a", rules); err != nil || got.Remaining != tc.want {
			t.Errorf("at %d s: got %+v, %v, want %d remaining", tc.view.PublishedAt/second, got, err, tc.want)
		}
	}
}

// TestRedisViewsOfConfigurations: each configuration of a cluster has its own, four at most: the one that was published
// the longest ago makes room.
func TestRedisViewsOfConfigurations(t *testing.T) {
	s := sharedstate.NewMemory()
	for limit := int64(1); limit <= 6; limit++ {
		rules := &policy.RateLimit{Requests: limit}
		if err := (RedisView{PublishedAt: limit, RedisTime: 10 - limit, Limit: limit}).Publish(s, "a", rules); err != nil {
			t.Fatal(err)
		}
	}
	for limit := int64(1); limit <= 6; limit++ {
		want := limit
		if limit <= 2 {
			want = 0
		}
		if got, err := ReadRedisView(s, "a", &policy.RateLimit{Requests: limit}); err != nil || got.Limit != want {
			t.Errorf("limit of %d: got %+v, %v, want a limit of %d", limit, got, err, want)
		}
	}
}

func TestRedisCallsFailing(t *testing.T) {
	ok, failed := CallsSince{Succeeded: true}, CallsSince{Failed: &RedisFailure{5, "aws", "OOM"}}
	both := CallsSince{Succeeded: true, Failed: failed.Failed}
	for _, tc := range []struct {
		name  string
		calls []CallsSince // a second apart
		want  bool
	}{
		{"no call yet", nil, false},
		{"all succeed", []CallsSince{ok, ok}, false},
		{"the last failed", []CallsSince{ok, failed}, true},
		{"another worker's succeeded", []CallsSince{failed, ok}, true},
		{"those for one limit fail", []CallsSince{ok, ok, both, both, both}, true},
		{"no call since", []CallsSince{failed, {}, {}, {}}, true},
		{"over", []CallsSince{failed, ok, ok}, false},
	} {
		s := sharedstate.NewMemory()
		fails := false
		for i, since := range tc.calls {
			fails = fails || since.Failed != nil
			if err := since.Publish(s, int64(100+i)*second); err != nil {
				t.Fatal(err)
			}
		}
		got, err := ReadRedisCalls(s)
		if err != nil || got.Failing() != tc.want {
			t.Errorf("%s: got failing %v, %v, want %v", tc.name, got.Failing(), err, tc.want)
		}
		if want := (RedisFailure{5, "aws", "OOM"}); fails && got.Failure != want {
			t.Errorf("%s: got %+v, want %+v", tc.name, got.Failure, want)
		}
	}
}

// FuzzSmallRecords: bytes that are accepted pack as they were.
func FuzzSmallRecords(f *testing.F) {
	f.Add([]byte(nil))
	f.Add((&RedisView{RedisTime: 1, Limit: 2, Remaining: 1, SuccessRatio: 1, SuccessRatioKnown: true}).AppendTo(nil))
	f.Add((&redisViews{{7, RedisView{Limit: 2}}}).AppendTo(nil))
	f.Add((&RedisCalls{LastOK: 1, LastFailed: 2, Failure: RedisFailure{5, "aws", "OOM"}}).AppendTo(nil))
	f.Add((&CountsAtReset{Counts: []uint64{1, 2}}).AppendTo(nil))
	f.Add((&sentReset{Resets: 4}).AppendTo(nil))
	f.Add((&notice{at: 1, first: "free", last: "gold"}).AppendTo(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, p := range []sharedstate.Packed{&RedisView{}, &redisViews{}, &RedisCalls{}, &CountsAtReset{}, &sentReset{}, &notice{}} {
			if p.Unpack(b) && !bytes.Equal(p.AppendTo(nil), b) {
				t.Errorf("%T: got %x, want %x", p, p.AppendTo(nil), b)
			}
		}
	})
}
