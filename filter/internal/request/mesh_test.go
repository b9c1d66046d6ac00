package request_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	goredis "github.com/redis/go-redis/v9"

	"github.com/weir-mesh/weir/filter/internal/request"
	"github.com/weir-mesh/weir/filter/internal/requesttest"
	"github.com/weir-mesh/weir/policy"
	"github.com/weir-mesh/weir/sharedstate"
	"github.com/weir-mesh/weir/sharedstate/redis"
)

// member is one proxy of a mesh, with its calls to a Redis in between: they are made and answered when the test says so.
type member struct {
	*requesttest.Proxy
	mesh    *flow.Mesh
	redis   *miniredis.Miniredis
	client  *goredis.Client
	calls   map[uint32][]byte
	last    uint32
	woken   int
	refuses error // what Call fails with
	behind  int64 // Redis's clock, by so many nanoseconds
	resumed []string
	results map[string]int
}

func (m *requesttest.MeshProxy) Wake() { m.Wakes++ }

func (m *requesttest.MeshProxy) Call(r *redis.Request) (uint32, error) {
	if m.SendError != nil {
		return 0, m.SendError
	}
	m.LastCall++
	m.Calls[m.LastCall] = append([]byte(nil), r.Body...)
	return m.LastCall, nil
}

func (m *requesttest.MeshProxy) Resume(stream uint32, step request.Step) {
	what := "continue"
	if step.Kind == request.SendReply {
		what = fmt.Sprint(step.Reply.Status)
	}
	m.Resumed = append(m.Resumed, fmt.Sprint(stream, " ", what))
}

func (m *requesttest.MeshProxy) Called(err error, _ time.Duration) {
	if err == nil {
		m.Counts["ok"]++
	} else {
		m.Counts["failed"]++
	}
}
func (m *requesttest.MeshProxy) Leased(l flow.LeaseResult) { m.Counts[l.String()]++ }
func (m *requesttest.MeshProxy) Forgotten(string)          { m.Counts["reset done"]++ }
func (m *requesttest.MeshProxy) NotForgotten(string)       { m.Counts["reset failed"]++ }

// answer runs the calls that are out, in the dialect of Upstash.
func (m *requesttest.MeshProxy) answer() {
	m.Helper()
	m.redis.SetTime(time.Unix(1_800_000_000, m.Now-m.behind))
	for len(m.Calls) > 0 {
		for id := range m.Calls {
			m.AnswerOne(id)
		}
	}
}

func (m *requesttest.MeshProxy) answerOne(id uint32) {
	m.Helper()
	body := m.Calls[id]
	delete(m.Calls, id)
	var commands [][]any
	pipeline := strings.HasPrefix(string(body), "[[")
	if !pipeline {
		body = []byte("[" + string(body) + "]")
	}
	if err := json.Unmarshal(body, &commands); err != nil {
		m.Fatalf("%v: %s", err, body)
	}
	status, all := 200, []map[string]any{}
	for _, words := range commands {
		result, err := m.client.Do(context.Background(), words...).Result()
		if err != nil {
			all = append(all, map[string]any{"error": err.Error()})
		} else {
			all = append(all, map[string]any{"result": result})
		}
	}
	var answer any = all
	if !pipeline {
		answer = all[0]
		if all[0]["error"] != nil {
			status = 400
		}
	}
	text, err := json.Marshal(answer)
	if err != nil {
		m.Fatal(err)
	}
	m.Client.Ended(id, status, text, m.Now)
}

// lose ends the calls that are out without an answer.
func (m *requesttest.MeshProxy) lose() {
	for id := range m.Calls {
		delete(m.Calls, id)
		m.Client.Ended(id, 0, nil, m.Now)
	}
}

// join starts a proxy whose limit Redis keeps.
func join(t *testing.T, server *miniredis.Miniredis, rules, conf string) *requesttest.MeshProxy {
	t.Helper()
	return requesttest.JoinMeshOn(t, server, rules, conf, sharedstate.NewMemory())
}

// joinOn starts one worker of a proxy, whose store is shared by others.
func joinOn(t *testing.T, server *miniredis.Miniredis, rules, conf string, store sharedstate.Store) *requesttest.MeshProxy {
	t.Helper()
	if !strings.Contains(conf, "dialect") {
		conf = `,"dialect":"upstash"` + conf
	}
	conf = conf[1:]
	document, err := policy.Decode([]byte(`{"clusters":{"aws":`+rules+`},"redis":{`+conf+`}}`), func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	seen := &record{}
	var seed [16]byte
	_, _ = rand.Read(seed[:]) // each proxy has another; it never fails
	worker, err := flow.NewWorker(store, seed)
	if err != nil {
		t.Fatal(err)
	}
	m := &member{redis: server, calls: map[uint32][]byte{}, results: map[string]int{}}
	if server != nil {
		m.client = goredis.NewClient(&goredis.Options{Addr: server.Addr(), Protocol: 2, MaxRetries: -1})
		t.Cleanup(func() { _ = m.client.Close() })
	}
	m.Client = flow.NewMesh(document.Redis, worker, m, m)
	m.proxy = &proxy{t, worker, flow.NewPlan("aws", document.For("aws"), worker, m.Client, seen), seen, int64(time.Hour)}
	return m
}

// asks sends one request in, and tells what became of it so far.
func (m *requesttest.MeshProxy) asks(stream uint32) (*request.Request, string) {
	x, step := m.Begin(request.Incoming{Stream: stream})
	switch step.Kind {
	case request.PauseRequest:
		return x, "paused"
	case request.SendReply:
		return x, fmt.Sprint(step.Reply.Status)
	default:
		return x, "continue"
	}
}

const meshed = `{"rate_limit":{"requests":%d,"window_size":"1s","scope":"mesh"}%s}`

func TestMeshRequestsWaitAndAreAnsweredInOrder(t *testing.T) {
	m := requesttest.JoinMesh(t, miniredis.RunT(t), fmt.Sprintf(meshed, 2, ""), "")
	for stream := uint32(1); stream <= 3; stream++ {
		if _, got := m.BeginStream(stream); got != "paused" {
			t.Fatalf("request %d: %s", stream, got)
		}
	}
	if m.Wakes != 1 || len(m.Calls) != 0 {
		t.Fatalf("woken %d times, %d calls: want to be woken once, and no call from a stream", m.Wakes, len(m.Calls))
	}
	m.Client.Call(m.Now)
	if len(m.Calls) != 1 {
		t.Fatalf("%d calls for three requests", len(m.Calls))
	}
	m.Answer()
	if got := strings.Join(m.Resumed, ", "); got != "1 continue, 2 continue, 3 429" {
		t.Errorf("resumed: %s", got)
	}
	if _, got := m.BeginStream(4); got != "429" {
		t.Errorf("used up: %s; nobody needs to ask Redis again", got)
	}
	if m.Counts["ok"] != 1 || m.Counts["granted"] != 1 {
		t.Errorf("calls: %v", m.Counts)
	}
}

func TestMeshIsOneLimitForAll(t *testing.T) {
	server := miniredis.RunT(t)
	a, b := requesttest.JoinMesh(t, server, fmt.Sprintf(meshed, 10, ""), ""), requesttest.JoinMesh(t, server, fmt.Sprintf(meshed, 10, ""), "")
	admitted := 0
	for step := range int64(100) { // 500 ms
		for _, m := range []*requesttest.MeshProxy{a, b} {
			m.Now = int64(time.Hour) + step*5*ms
			if _, got := m.BeginStream(uint32(step)); got == "continue" {
				admitted++
			}
			m.Client.Call(m.Now)
			m.Answer()
			for _, r := range m.Resumed {
				if strings.HasSuffix(r, " on") {
					admitted++
				}
			}
			m.Resumed = nil
			m.Client.Tick(m.Now)
			m.Answer()
		}
	}
	if admitted != 10 {
		t.Errorf("%d admitted, the limit is 10", admitted)
	}
}

func TestMeshClientsThatLeaveWhileTheyWait(t *testing.T) {
	m := requesttest.JoinMesh(t, miniredis.RunT(t), fmt.Sprintf(meshed, 1, `,"bulkhead":{"max_concurrent":2}`), "")
	first, _ := m.BeginStream(1)
	if _, got := m.BeginStream(2); got != "paused" {
		t.Fatal(got)
	}
	m.Client.Call(m.Now)
	first.Gone(requesttest.ClientLeft, 0, m.Now)
	if first.Open() {
		t.Error("something is left open")
	}
	m.Answer()
	if got := strings.Join(m.Resumed, ", "); got != "2 continue" {
		t.Errorf("resumed: %q; the token of the one that left is the next one's", got)
	}
	if x, got := m.BeginStream(3); got != "429" || x.Open() {
		t.Errorf("its place in the bulkhead is free, its token is not: %s", got)
	}
}

func TestMeshWithoutRedis(t *testing.T) {
	for _, tc := range []struct {
		onError string
		want    string // of five requests
	}{
		{"local", "1 continue, 2 continue, 3 429, 4 429, 5 429"},
		{"allow", "1 continue, 2 continue, 3 continue, 4 continue, 5 continue"},
		{"deny", "1 429, 2 429, 3 429, 4 429, 5 429"},
	} {
		server := miniredis.RunT(t)
		m := requesttest.JoinMesh(t, server, fmt.Sprintf(meshed, 4, ""), `,"on_error":"`+tc.onError+`"`)
		other := requesttest.JoinMesh(t, server, fmt.Sprintf(meshed, 4, ""), "")
		for _, proxy := range []*requesttest.MeshProxy{other, m} { // Redis learns that there are two
			proxy.BeginStream(0)
			proxy.Client.Call(proxy.Now)
			proxy.Answer()
		}
		m.Resumed, m.Observer.Events = nil, nil
		m.Now += 5000 * ms
		for stream := uint32(1); stream <= 5; stream++ {
			m.BeginStream(stream)
		}
		m.Client.Call(m.Now)
		m.Now += 50 * ms
		m.Lose()
		if got := strings.Join(m.Resumed, ", "); got != tc.want {
			t.Errorf("%s: %s, want %s", tc.onError, got, tc.want)
		}
		if m.Counts["failed"] != 1 || m.Counts["lost"] != 1 {
			t.Errorf("%s: calls: %v", tc.onError, m.Counts)
		}
	}
}

func TestMeshAfterFailuresAsksSeldom(t *testing.T) {
	m := requesttest.JoinMesh(t, nil, fmt.Sprintf(meshed, 1_000_000, ""), `,"on_error":"allow"`)
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
		m.Client.Call(m.Now)
		m.Client.Tick(m.Now)
	}
	if waited+on != 1000 || len(m.Resumed) != waited || waited > 5 {
		t.Errorf("%d waited, of which %d were resumed; %d passed at once", waited, len(m.Resumed), on)
	}
	if m.Counts["failed"] > 10 {
		t.Errorf("%d calls to a Redis that is gone", m.Counts["failed"])
	}
}

func TestMeshInShadowNobodyWaits(t *testing.T) {
	m := requesttest.JoinMesh(t, miniredis.RunT(t), `{"mode":"shadow",`+fmt.Sprintf(meshed, 1, "")[1:], "")
	for stream := uint32(1); stream <= 2; stream++ {
		if _, got := m.BeginStream(stream); got != "continue" {
			t.Errorf("request %d: %s", stream, got)
		}
	}
	m.Client.Call(m.Now)
	m.Answer()
	if len(m.Resumed) != 0 {
		t.Errorf("resumed: %v", m.Resumed)
	}
	if got := strings.Join(m.Observer.Events, ", "); got != "decided allowed in shadow, decided rate_limited in shadow" {
		t.Error(got)
	}
}

func TestMeshCallbacksThatComeTwiceOrNever(t *testing.T) {
	m := requesttest.JoinMesh(t, miniredis.RunT(t), fmt.Sprintf(meshed, 5, ""), "")
	m.BeginStream(1)
	m.Client.Call(m.Now)
	m.Client.Ended(77, 200, []byte("{}"), m.Now) // nobody's
	m.Answer()
	m.Client.Ended(m.LastCall, 200, []byte(`{"result":[1,1,1,0,1,5,1,0]}`), m.Now)
	if got := strings.Join(m.Resumed, ", "); got != "1 continue" {
		t.Errorf("resumed: %s", got)
	}
	// A call whose end is never told is given up, and so is a wake that gets lost.
	m.Now += 2000 * ms
	m.BeginStream(2)
	m.Now += 100 * ms
	m.Client.Tick(m.Now)
	if len(m.Calls) != 1 {
		t.Fatalf("%d calls: the tick makes up for a wake that got lost", len(m.Calls))
	}
	clear(m.Calls)
	m.Now += 2000 * ms
	m.Client.Tick(m.Now)
	if got := strings.Join(m.Resumed, ", "); got != "1 continue, 2 continue" {
		t.Errorf("resumed: %s", got)
	}
}

// TestMeshLateAnswers has an answer to a call that was given up come while the next one is out, and a request waits for
// that.
func TestMeshLateAnswers(t *testing.T) {
	m := requesttest.JoinMesh(t, miniredis.RunT(t), fmt.Sprintf(meshed, 5, ""), "")
	m.BeginStream(1)
	m.Client.Call(m.Now)
	m.Answer() // so the script is known
	m.Now += 3000 * ms
	m.Client.Tick(m.Now)
	m.Answer()
	m.Resumed = nil

	m.BeginStream(2)
	m.Client.Call(m.Now)
	first := m.LastCall
	m.Now += 110 * ms
	m.Client.Tick(m.Now) // twice the timeout: given up
	m.BeginStream(3)
	m.Client.Call(m.Now)
	if m.LastCall == first {
		t.Fatal("no second call")
	}
	m.redis.SetTime(time.Unix(1_800_000_000, m.Now))
	m.AnswerOne(first)
	if got := strings.Join(m.Resumed, ", "); got != "2 continue" {
		t.Fatalf("resumed: %s; want the first by its share, and the second to wait for its own call", got)
	}
	m.AnswerOne(m.LastCall) // which the tick had sent, to settle: what waits is told to ask for itself
	m.Client.Call(m.Now)
	m.Answer()
	if got := strings.Join(m.Resumed, ", "); got != "2 continue, 3 continue" {
		t.Errorf("resumed: %s; somebody waits for ever", got)
	}
	if m.Counts["late"] != 1 {
		t.Errorf("results: %v", m.Counts)
	}
}

// TestMeshByWebdis has two calls out whose commands have different names, which Webdis's answers repeat.
func TestMeshByWebdis(t *testing.T) {
	m := requesttest.JoinMesh(t, nil, `{"rate_limit":{"requests":5,"window_size":"1s","scope":"mesh","key":[{"header":"x-user"}]}}`, `,"dialect":"webdis"`)
	for stream, user := range []string{"a", "b"} {
		m.Begin(request.Incoming{Stream: uint32(stream + 1), Key: m.Cluster.Key().Fingerprint(requesttest.Headers{{"x-user", user}}, "")})
	}
	m.Client.Call(m.Now)
	if len(m.Calls) != 2 {
		t.Fatalf("%d calls; Webdis takes one command at a time", len(m.Calls))
	}
	words := func(id uint32) []string { return strings.Split(string(m.Calls[id]), "/") }
	const numberAt = 4 + 8 // EVALSHA, sha, 8, the keys; the holder; then the number
	m.Client.Ended(1, 200, []byte(`{"EVALSHA":[false,"NOSCRIPT No matching script."]}`), m.Now)
	number := words(2)[numberAt]
	m.Client.Ended(2, 200, []byte(`{"EVALSHA":[`+number+`,1800000000000000,1,0,4,5,1,0]}`), m.Now)
	if got := words(3)[0]; got != "EVAL" {
		t.Fatalf("after NOSCRIPT: %s", got)
	}
	if got := strings.Join(m.Resumed, ", "); got != "2 continue" || m.Counts["failed"] != 0 {
		t.Errorf("resumed: %s, results %v", got, m.Counts)
	}
}

func TestMeshCountsByKey(t *testing.T) {
	m := requesttest.JoinMesh(t, miniredis.RunT(t), `{"rate_limit":{"requests":1,"window_size":"1s","scope":"mesh","key":[{"header":"x-user"}]}}`, "")
	ask := func(stream uint32, user string) {
		m.Begin(request.Incoming{Stream: stream, Key: m.Cluster.Key().Fingerprint(requesttest.Headers{{"x-user", user}}, "")})
	}
	ask(1, "a")
	ask(2, "b")
	ask(3, "a")
	m.Client.Call(m.Now)
	m.Answer()
	got := map[string]bool{}
	for _, r := range m.Resumed {
		got[r] = true
	}
	if len(m.Resumed) != 3 || !got["1 continue"] || !got["2 continue"] || !got["3 429"] {
		t.Errorf("resumed: %v", m.Resumed)
	}
}
