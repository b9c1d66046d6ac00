package localreply_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-mesh/weir/filter/internal/localreply"
	"github.com/weir-mesh/weir/policy"
	"github.com/weir-mesh/weir/policy/fallback"
	"github.com/weir-mesh/weir/policy/header"
	"github.com/weir-mesh/weir/policy/ratelimit"
)

// replies are those of a cluster with a limit of 10 in a minute.
func replies(cluster string, mode policy.HeadersMode) *localreply.Replies {
	p := &policy.Policy{RateLimit: &policy.RateLimit{Headers: mode}}
	return localreply.New(cluster, p, ratelimit.NewSlidingWindow(10, time.Minute))
}

func first(headers []header.Pair, name string) string {
	for _, h := range headers {
		if h[0] == name {
			return h[1]
		}
	}
	return ""
}

func TestLimitHeadersByMode(t *testing.T) {
	admitted := ratelimit.Verdict{Admitted: true, Remaining: 3, Reset: 1500 * time.Millisecond}
	refused := ratelimit.Verdict{Reset: 20 * time.Second}
	const onAdmitted, onRefused = `"aws";r=3;t=2`, `"aws";r=0;t=20`
	for _, tc := range []struct {
		name string
		mode policy.HeadersMode
		// ratelimit of upstream's response, of a refusal by the limit, by the breaker, and without a limit's verdict
		response, limited, open, ok string
	}{
		{"all", policy.HeadersAll, onAdmitted, onRefused, onAdmitted, ""},
		{"refused", policy.HeadersRefused, "", onRefused, "", ""},
		{"none", policy.HeadersNone, "", "", "", ""},
	} {
		rs := replies("aws", tc.mode)
		set := []header.Pair{{"x-weir-source", "upstream"}}
		if got := first(rs.OnResponse(set, &admitted), "ratelimit"); got != tc.response {
			t.Errorf("%s, OnResponse: got ratelimit %q, want %q", tc.name, got, tc.response)
		}
		if got := rs.OnResponse(set, &ratelimit.Verdict{}); len(got) != 1 {
			t.Errorf("%s, OnResponse without the limit's verdict: got %q, want %q", tc.name, got, set)
		}
		for _, x := range []struct {
			reason  fallback.Reason
			verdict ratelimit.Verdict
			want    string
		}{
			{fallback.RateLimited, refused, tc.limited},
			{fallback.CircuitOpen, admitted, tc.open},
			{fallback.CircuitOpen, ratelimit.Verdict{}, tc.ok},
		} {
			reply := rs.Make(&localreply.Request{Reason: x.reason, Limit: &x.verdict}, fallback.FromError, false)
			if got := first(reply.Headers, "ratelimit"); got != x.want {
				t.Errorf("%s, %v: got ratelimit %q, want %q", tc.name, x.reason, got, x.want)
			}
		}
	}
}

func TestLimitHeaders(t *testing.T) {
	rs := replies("aws", policy.HeadersAll)
	got := rs.OnResponse(nil, &ratelimit.Verdict{Admitted: true, Remaining: 3, Reset: 1500 * time.Millisecond})
	want := []header.Pair{
		{"ratelimit-policy", `"aws";q=10;w=60`},
		{"ratelimit", `"aws";r=3;t=2`},
		{"x-ratelimit-limit", "10"},
		{"x-ratelimit-remaining", "3"},
		{"x-ratelimit-reset", "2"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("headers: want (-), got (+):\n%s", diff)
	}
	if got := rs.Quota(); got != "10" {
		t.Errorf("Quota() = %q, want 10", got)
	}
	if got := localreply.New("aws", &policy.Policy{}, nil).Quota(); got != "" {
		t.Errorf("Quota() without a limit = %q, want none", got)
	}
}

// TestOnResponseLeavesItsSetAlone: the set is shared by all requests.
func TestOnResponseLeavesItsSetAlone(t *testing.T) {
	set := make([]header.Pair, 1, 10)
	replies("aws", policy.HeadersAll).OnResponse(set, &ratelimit.Verdict{Admitted: true})
	if got := set[:2][1]; got != (header.Pair{}) {
		t.Errorf("got %q written behind the set, want nothing", got)
	}
}

// TestQuotedNames: a cluster's name is a string of structured fields (RFC 9651, section 3.3.3).
func TestQuotedNames(t *testing.T) {
	for name, want := range map[string]string{
		"aws_pricing": `"aws_pricing"`,
		`a"b\c`:       `"a\"b\\c"`,
		"a b~":        `"a b~"`,
		"a\tb\x7f":    `"a_b_"`,
		"é":           `"__"`,
		"":            `""`,
	} {
		set := replies(name, policy.HeadersAll).OnResponse(nil, &ratelimit.Verdict{Admitted: true, Remaining: 1})
		got, _, _ := strings.Cut(first(set, "ratelimit-policy"), ";q=")
		if got != want {
			t.Errorf("name %q: got %s, want %s", name, got, want)
		}
	}
}

func TestChangesType(t *testing.T) {
	plain := []header.Pair{{"x-a", "b"}, {"content-type", "text/x-page"}}
	for _, tc := range []struct {
		name  string
		reply localreply.Reply
		want  bool
	}{
		{"a type and a body", localreply.Reply{GRPC: localreply.NoGRPC, Headers: plain, Body: []byte("a")}, false},
		{"a type alone, as a kept HEAD has", localreply.Reply{GRPC: localreply.NoGRPC, Headers: plain}, true},
		{"a body alone", localreply.Reply{GRPC: localreply.NoGRPC, Headers: plain[:1], Body: []byte("a")}, true},
		{"neither, as a 304 or 204 has", localreply.Reply{GRPC: localreply.NoGRPC, Headers: plain[:1]}, false},
		{"gRPC, whose type Envoy sets", localreply.Reply{GRPC: 14, Body: []byte("a")}, false},
	} {
		if got := tc.reply.ChangesType(); got != tc.want {
			t.Errorf("%s: ChangesType() = %v, want %v", tc.name, got, tc.want)
		}
	}
}

func TestRetryAfterRoundsUp(t *testing.T) {
	for _, tc := range []struct {
		wait time.Duration
		want string
	}{
		{0, ""},
		{time.Nanosecond, "1"},
		{time.Second, "1"},
		{time.Second + 1, "2"},
		{1<<63 - 1, "9223372036"},
	} {
		r := localreply.Request{Reason: fallback.CircuitOpen, Wait: tc.wait, Limit: &ratelimit.Verdict{}}
		if got := first(replies("aws", policy.HeadersNone).Make(&r, fallback.FromError, false).Headers, "retry-after"); got != tc.want {
			t.Errorf("wait %v: got retry-after %q, want %q", tc.wait, got, tc.want)
		}
	}
}
