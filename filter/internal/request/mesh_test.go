package request_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/weir-mesh/weir/filter/internal/request"
	"github.com/weir-mesh/weir/filter/internal/requesttest"
)

// meshLimit is a policy with so many requests a second for all proxies together.
const meshLimit = `{"rate_limit":{"requests":%d,"window_size":"1s","scope":"mesh"}%s}`

func TestMeshDecidesInOrder(t *testing.T) {
	m := requesttest.JoinMesh(t, miniredis.RunT(t), fmt.Sprintf(meshLimit, 2, ""), "")
	for stream := uint32(1); stream <= 3; stream++ {
		if _, got := m.BeginStream(stream); got != "paused" {
			t.Fatalf("request %d: got %s, want paused", stream, got)
		}
	}
	if m.Wakes != 1 || len(m.Calls) != 0 {
		t.Fatalf("got %d wakes and %d calls, want 1 wake and no call made by a stream", m.Wakes, len(m.Calls))
	}
	m.Client.MakeCalls(m.Now)
	if len(m.Calls) != 1 {
		t.Fatalf("got %d calls for three requests, want 1", len(m.Calls))
	}
	m.Answer()
	if got := strings.Join(m.Resumed, ", "); got != "1 continue, 2 continue, 3 429" {
		t.Errorf("got resumed %s, want 1 continue, 2 continue, 3 429", got)
	}
	if _, got := m.BeginStream(4); got != "429" {
		t.Errorf("limit used up: got %s, want 429 without a call", got)
	}
	if m.Counts["ok"] != 1 || m.Counts["granted"] != 1 {
		t.Errorf("got counts %v, want 1 ok and 1 granted", m.Counts)
	}
}

func TestMeshLimitIsSharedByProxies(t *testing.T) {
	server := miniredis.RunT(t)
	rules := fmt.Sprintf(meshLimit, 10, "")
	a, b := requesttest.JoinMesh(t, server, rules, ""), requesttest.JoinMesh(t, server, rules, "")
	admitted := 0
	for step := range int64(100) { // 500 ms
		for _, m := range []*requesttest.MeshProxy{a, b} {
			m.Now = int64(time.Hour) + step*5*ms
			if _, got := m.BeginStream(uint32(step)); got == "continue" {
				admitted++
			}
			m.Client.MakeCalls(m.Now)
			m.Answer()
			for _, r := range m.Resumed {
				if strings.HasSuffix(r, " continue") {
					admitted++
				}
			}
			m.Resumed = nil
			m.Client.Tick(m.Now)
			m.Answer()
		}
	}
	if admitted != 10 {
		t.Errorf("got %d admitted, want 10", admitted)
	}
}

func TestMeshClientLeavesWhileItWaits(t *testing.T) {
	m := requesttest.JoinMesh(t, miniredis.RunT(t), fmt.Sprintf(meshLimit, 1, `,"bulkhead":{"max_concurrent":2}`), "")
	first, _ := m.BeginStream(1)
	if _, got := m.BeginStream(2); got != "paused" {
		t.Fatalf("got %s, want paused", got)
	}
	m.Client.MakeCalls(m.Now)
	first.Gone(requesttest.ClientLeft, 0, m.Now)
	if first.Unsettled() {
		t.Error("after its client left: got an open request, want none")
	}
	m.Answer()
	if got := strings.Join(m.Resumed, ", "); got != "2 continue" {
		t.Errorf("got resumed %q, want the next request to get the token: 2 continue", got)
	}
	if r, got := m.BeginStream(3); got != "429" || r.Unsettled() {
		t.Errorf("a third request: got %s, open %v; want 429, false: a place is free, and no token", got, r.Unsettled())
	}
}

func TestMeshOnError(t *testing.T) {
	for _, tc := range []struct {
		onError string
		want    string // of five requests
	}{
		{"local", "1 continue, 2 continue, 3 429, 4 429, 5 429"},
		{"allow", "1 continue, 2 continue, 3 continue, 4 continue, 5 continue"},
		{"deny", "1 429, 2 429, 3 429, 4 429, 5 429"},
	} {
		server := miniredis.RunT(t)
		m := requesttest.JoinMesh(t, server, fmt.Sprintf(meshLimit, 4, ""), `,"on_error":"`+tc.onError+`"`)
		other := requesttest.JoinMesh(t, server, fmt.Sprintf(meshLimit, 4, ""), "")
		for _, member := range []*requesttest.MeshProxy{other, m} { // Redis learns that there are two
			member.BeginStream(0)
			member.Client.MakeCalls(member.Now)
			member.Answer()
		}
		m.Resumed, m.Observer.Events = nil, nil
		m.Now += 5000 * ms
		for stream := uint32(1); stream <= 5; stream++ {
			m.BeginStream(stream)
		}
		m.Client.MakeCalls(m.Now)
		m.Now += 50 * ms
		m.Lose()
		if got := strings.Join(m.Resumed, ", "); got != tc.want {
			t.Errorf("on_error %s: got %s, want %s", tc.onError, got, tc.want)
		}
		if m.Counts["failed"] != 1 || m.Counts["lost"] != 1 {
			t.Errorf("on_error %s: got counts %v, want 1 failed and 1 lost", tc.onError, m.Counts)
		}
	}
}

// TestMeshExpectedProxies: a proxy that never reached Redis admits its part of the limit of 8, by what the policy
// expects. What Redis said counts more.
func TestMeshExpectedProxies(t *testing.T) {
	for _, tc := range []struct {
		expected string
		reached  bool
		want     int
	}{
		{"", false, 8},
		{`,"expected_proxies":1`, false, 8},
		{`,"expected_proxies":3`, false, 2},
		{`,"expected_proxies":100`, false, 1},
		{`,"expected_proxies":100`, true, 8},
	} {
		m := requesttest.JoinMesh(t, miniredis.RunT(t), fmt.Sprintf(meshLimit, 8, ""), tc.expected)
		if tc.reached {
			m.BeginStream(0)
			m.Client.MakeCalls(m.Now)
			m.Answer()
			m.Now += 5000 * ms
		}
		m.Resumed = nil
		for stream := uint32(1); stream <= 10; stream++ {
			m.BeginStream(stream)
		}
		m.Client.MakeCalls(m.Now)
		m.Now += 50 * ms
		m.Lose()
		admitted := strings.Count(strings.Join(m.Resumed, ","), "continue")
		if len(m.Resumed) != 10 || admitted != tc.want {
			t.Errorf("%q, reached %v: got %v, want %d admitted", tc.expected, tc.reached, m.Resumed, tc.want)
		}
	}
}

func TestMeshRarelyCallsWhileRedisFails(t *testing.T) {
	m := requesttest.JoinMesh(t, nil, fmt.Sprintf(meshLimit, 1_000_000, ""), `,"on_error":"allow"`)
	m.SendError = errors.New("no such cluster")
	waited, on := 0, 0
	for i := range int64(1000) { // a second
		m.Now = int64(time.Hour) + i*ms
		switch _, got := m.BeginStream(uint32(i)); got {
		case "paused":
			waited++
		case "continue":
			on++
		}
		m.Client.MakeCalls(m.Now)
		m.Client.Tick(m.Now)
	}
	if waited+on != 1000 || len(m.Resumed) != waited || waited > 5 {
		t.Errorf("got %d paused, %d resumed, %d passed at once; want 1000 in all, at most 5 paused, all of them resumed", waited,
			len(m.Resumed), on)
	}
	if m.Counts["failed"] > 10 {
		t.Errorf("got %d calls in a second while Redis fails, want at most 10", m.Counts["failed"])
	}
}

func TestMeshInShadowPausesNothing(t *testing.T) {
	m := requesttest.JoinMesh(t, miniredis.RunT(t), `{"mode":"shadow",`+fmt.Sprintf(meshLimit, 1, "")[1:], "")
	for stream := uint32(1); stream <= 2; stream++ {
		if _, got := m.BeginStream(stream); got != "continue" {
			t.Errorf("request %d: got %s, want continue", stream, got)
		}
	}
	m.Client.MakeCalls(m.Now)
	m.Answer()
	if len(m.Resumed) != 0 {
		t.Errorf("got resumed %v, want none", m.Resumed)
	}
	if got := strings.Join(m.Observer.Events, ", "); got != "decided allowed in shadow, decided rate_limited in shadow" {
		t.Errorf("got events %s, want decided allowed and rate_limited, in shadow", got)
	}
}

func TestMeshRepliesTwiceOrNever(t *testing.T) {
	m := requesttest.JoinMesh(t, miniredis.RunT(t), fmt.Sprintf(meshLimit, 5, ""), "")
	m.BeginStream(1)
	m.Client.MakeCalls(m.Now)
	m.Client.Ended(77, 200, []byte("{}"), m.Now) // a call that was never made
	m.Answer()
	m.Client.Ended(m.LastCall, 200, []byte(`{"result":[1,1,1,0,1,5,1,0,1]}`), m.Now)
	if got := strings.Join(m.Resumed, ", "); got != "1 continue" {
		t.Errorf("got resumed %s, want 1 continue", got)
	}
	// A call that does not end is given up, and the tick makes up for a wake that was lost.
	m.Now += 2000 * ms
	m.BeginStream(2)
	m.Now += 100 * ms
	m.Client.Tick(m.Now)
	if len(m.Calls) != 1 {
		t.Fatalf("got %d calls after the tick, want 1", len(m.Calls))
	}
	clear(m.Calls)
	m.Now += 2000 * ms
	m.Client.Tick(m.Now)
	if got := strings.Join(m.Resumed, ", "); got != "1 continue, 2 continue" {
		t.Errorf("got resumed %s, want 1 continue, 2 continue", got)
	}
}

// TestMeshLateReply: the reply to a call that was given up comes while the next call is out, for which a request waits.
func TestMeshLateReply(t *testing.T) {
	m := requesttest.JoinMesh(t, miniredis.RunT(t), fmt.Sprintf(meshLimit, 5, ""), "")
	m.BeginStream(1)
	m.Client.MakeCalls(m.Now)
	m.Answer() // Redis knows the script from now on
	m.Now += 3000 * ms
	m.Client.Tick(m.Now)
	m.Answer()
	m.Resumed = nil

	m.BeginStream(2)
	m.Client.MakeCalls(m.Now)
	first := m.LastCall
	m.Now += 110 * ms
	m.Client.Tick(m.Now) // twice the timeout: given up
	m.BeginStream(3)
	m.Client.MakeCalls(m.Now)
	if m.LastCall == first {
		t.Fatalf("got last call %d, want a second one", m.LastCall)
	}
	m.SetRedisTime()
	m.AnswerOne(first)
	if got := strings.Join(m.Resumed, ", "); got != "2 continue" {
		t.Fatalf("got resumed %s, want only 2 continue, by the proxy's share: 3 waits for its own call", got)
	}
	m.AnswerOne(m.LastCall) // made by the tick, to settle: request 3 has to ask for itself
	m.Client.MakeCalls(m.Now)
	m.Answer()
	if got := strings.Join(m.Resumed, ", "); got != "2 continue, 3 continue" {
		t.Errorf("got resumed %s, want 2 continue, 3 continue", got)
	}
	if m.Counts["late"] != 1 {
		t.Errorf("got counts %v, want 1 late", m.Counts)
	}
}

// TestMeshByWebdis: two calls are out whose commands have different names, which Webdis repeats in its replies.
func TestMeshByWebdis(t *testing.T) {
	m := requesttest.JoinMesh(t, nil, `{"rate_limit":{"requests":5,"window_size":"1s","scope":"mesh","key":[{"header":"x-user"}]}}`, `,"dialect":"webdis"`)
	for stream, user := range []string{"a", "b"} {
		m.Begin(request.Incoming{Stream: uint32(stream + 1), Key: m.Cluster.Key().Fingerprint(requesttest.Headers{{"x-user", user}}, "")})
	}
	m.Client.MakeCalls(m.Now)
	if len(m.Calls) != 2 {
		t.Fatalf("got %d calls, want 2: Webdis takes one command at a time", len(m.Calls))
	}
	words := func(id uint32) []string { return strings.Split(string(m.Calls[id]), "/") }
	const numberAt = 4 + 9 // EVALSHA, sha, 9, the keys; the holder; then the number
	m.Client.Ended(1, 200, []byte(`{"EVALSHA":[false,"NOSCRIPT No matching script."]}`), m.Now)
	number := words(2)[numberAt]
	m.Client.Ended(2, 200, []byte(`{"EVALSHA":[`+number+`,1800000000000000,1,0,4,5,1,0,1]}`), m.Now)
	if got := words(3)[0]; got != "EVAL" {
		t.Fatalf("after NOSCRIPT: got %s, want EVAL", got)
	}
	if got := strings.Join(m.Resumed, ", "); got != "2 continue" || m.Counts["failed"] != 0 {
		t.Errorf("got resumed %s, counts %v; want 2 continue, none failed", got, m.Counts)
	}
}

func TestMeshCountsByKey(t *testing.T) {
	m := requesttest.JoinMesh(t, miniredis.RunT(t),
		`{"rate_limit":{"requests":1,"window_size":"1s","scope":"mesh","key":[{"header":"x-user"}]}}`, "")
	ask := func(stream uint32, user string) {
		m.Begin(request.Incoming{Stream: stream, Key: m.Cluster.Key().Fingerprint(requesttest.Headers{{"x-user", user}}, "")})
	}
	ask(1, "a")
	ask(2, "b")
	ask(3, "a")
	m.Client.MakeCalls(m.Now)
	m.Answer()
	got := map[string]bool{}
	for _, r := range m.Resumed {
		got[r] = true
	}
	if len(m.Resumed) != 3 || !got["1 continue"] || !got["2 continue"] || !got["3 429"] {
		t.Errorf("got resumed %v, want 1 and 2 to continue and 3 to get 429", m.Resumed)
	}
}
