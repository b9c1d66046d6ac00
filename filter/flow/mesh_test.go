package flow_test

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

	"github.com/weir-mesh/weir/filter/flow"
	"github.com/weir-mesh/weir/policy"
	"github.com/weir-mesh/weir/sharedstate"
	"github.com/weir-mesh/weir/sharedstate/redis"
)

// member is one proxy of a mesh, with its calls to a Redis in between: they are made and answered when the test says so.
type member struct {
	*proxy
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

func (m *member) Wake() { m.woken++ }

func (m *member) Call(r *redis.Request) (uint32, error) {
	if m.refuses != nil {
		return 0, m.refuses
	}
	m.last++
	m.calls[m.last] = append([]byte(nil), r.Body...)
	return m.last, nil
}

func (m *member) Resume(stream uint32, step flow.Step) {
	what := "on"
	if step.Kind == flow.SendReply {
		what = fmt.Sprint(step.Reply.Status)
	}
	m.resumed = append(m.resumed, fmt.Sprint(stream, " ", what))
}

func (m *member) Called(err error, _ time.Duration) {
	if err == nil {
		m.results["ok"]++
	} else {
		m.results["failed"]++
	}
}
func (m *member) Leased(l flow.LeaseResult) { m.results[l.String()]++ }
func (m *member) Forgotten(string)          { m.results["forgotten"]++ }
func (m *member) NotForgotten(string)       { m.results["not forgotten"]++ }

// answer runs the calls that are out, in the dialect of Upstash.
func (m *member) answer() {
	m.Helper()
	m.redis.SetTime(time.Unix(1_800_000_000, m.now-m.behind))
	for len(m.calls) > 0 {
		for id := range m.calls {
			m.answerOne(id)
		}
	}
}

func (m *member) answerOne(id uint32) {
	m.Helper()
	body := m.calls[id]
	delete(m.calls, id)
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
	m.mesh.Answered(id, status, text, m.now)
}

// lose ends the calls that are out without an answer.
func (m *member) lose() {
	for id := range m.calls {
		delete(m.calls, id)
		m.mesh.Answered(id, 0, nil, m.now)
	}
}

// join starts a proxy whose limit Redis keeps.
func join(t *testing.T, server *miniredis.Miniredis, rules, conf string) *member {
	t.Helper()
	return joinOn(t, server, rules, conf, sharedstate.NewMemory())
}

// joinOn starts one worker of a proxy, whose store is shared by others.
func joinOn(t *testing.T, server *miniredis.Miniredis, rules, conf string, store sharedstate.Store) *member {
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
	m.mesh = flow.NewMesh(document.Redis, worker, m, m)
	m.proxy = &proxy{t, worker, flow.NewPlan("aws", document.For("aws"), worker, m.mesh, seen), seen, int64(time.Hour)}
	return m
}

// asks sends one request in, and tells what became of it so far.
func (m *member) asks(stream uint32) (*flow.Exchange, string) {
	x, step := m.begin(flow.Request{Stream: stream})
	switch step.Kind {
	case flow.Pause:
		return x, "waits"
	case flow.SendReply:
		return x, fmt.Sprint(step.Reply.Status)
	default:
		return x, "on"
	}
}

const meshed = `{"rate_limit":{"requests":%d,"window_size":"1s","scope":"mesh"}%s}`

func TestMeshRequestsWaitAndAreAnsweredInOrder(t *testing.T) {
	m := join(t, miniredis.RunT(t), fmt.Sprintf(meshed, 2, ""), "")
	for stream := uint32(1); stream <= 3; stream++ {
		if _, got := m.asks(stream); got != "waits" {
			t.Fatalf("request %d: %s", stream, got)
		}
	}
	if m.woken != 1 || len(m.calls) != 0 {
		t.Fatalf("woken %d times, %d calls: want to be woken once, and no call from a stream", m.woken, len(m.calls))
	}
	m.mesh.Calls(m.now)
	if len(m.calls) != 1 {
		t.Fatalf("%d calls for three requests", len(m.calls))
	}
	m.answer()
	if got := strings.Join(m.resumed, ", "); got != "1 on, 2 on, 3 429" {
		t.Errorf("resumed: %s", got)
	}
	if _, got := m.asks(4); got != "429" {
		t.Errorf("used up: %s; nobody needs to ask Redis again", got)
	}
	if m.results["ok"] != 1 || m.results["granted"] != 1 {
		t.Errorf("calls: %v", m.results)
	}
}

func TestMeshIsOneLimitForAll(t *testing.T) {
	server := miniredis.RunT(t)
	a, b := join(t, server, fmt.Sprintf(meshed, 10, ""), ""), join(t, server, fmt.Sprintf(meshed, 10, ""), "")
	admitted := 0
	for step := range int64(100) { // 500 ms
		for _, m := range []*member{a, b} {
			m.now = int64(time.Hour) + step*5*ms
			if _, got := m.asks(uint32(step)); got == "on" {
				admitted++
			}
			m.mesh.Calls(m.now)
			m.answer()
			for _, r := range m.resumed {
				if strings.HasSuffix(r, " on") {
					admitted++
				}
			}
			m.resumed = nil
			m.mesh.Tick(m.now)
			m.answer()
		}
	}
	if admitted != 10 {
		t.Errorf("%d admitted, the limit is 10", admitted)
	}
}

func TestMeshClientsThatLeaveWhileTheyWait(t *testing.T) {
	m := join(t, miniredis.RunT(t), fmt.Sprintf(meshed, 1, `,"bulkhead":{"max_concurrent":2}`), "")
	first, _ := m.asks(1)
	if _, got := m.asks(2); got != "waits" {
		t.Fatal(got)
	}
	m.mesh.Calls(m.now)
	first.Done("downstream_remote_disconnect", 0, m.now)
	if first.Open() {
		t.Error("something is left open")
	}
	m.answer()
	if got := strings.Join(m.resumed, ", "); got != "2 on" {
		t.Errorf("resumed: %q; the token of the one that left is the next one's", got)
	}
	if x, got := m.asks(3); got != "429" || x.Open() {
		t.Errorf("its place in the bulkhead is free, its token is not: %s", got)
	}
}

func TestMeshWithoutRedis(t *testing.T) {
	for _, tc := range []struct {
		onError string
		want    string // of five requests
	}{
		{"local", "1 on, 2 on, 3 429, 4 429, 5 429"},
		{"allow", "1 on, 2 on, 3 on, 4 on, 5 on"},
		{"deny", "1 429, 2 429, 3 429, 4 429, 5 429"},
	} {
		server := miniredis.RunT(t)
		m := join(t, server, fmt.Sprintf(meshed, 4, ""), `,"on_error":"`+tc.onError+`"`)
		other := join(t, server, fmt.Sprintf(meshed, 4, ""), "")
		for _, proxy := range []*member{other, m} { // Redis learns that there are two
			proxy.asks(0)
			proxy.mesh.Calls(proxy.now)
			proxy.answer()
		}
		m.resumed, m.seen.events = nil, nil
		m.now += 5000 * ms
		for stream := uint32(1); stream <= 5; stream++ {
			m.asks(stream)
		}
		m.mesh.Calls(m.now)
		m.now += 50 * ms
		m.lose()
		if got := strings.Join(m.resumed, ", "); got != tc.want {
			t.Errorf("%s: %s, want %s", tc.onError, got, tc.want)
		}
		if m.results["failed"] != 1 || m.results["lost"] != 1 {
			t.Errorf("%s: calls: %v", tc.onError, m.results)
		}
	}
}

func TestMeshAfterFailuresAsksSeldom(t *testing.T) {
	m := join(t, nil, fmt.Sprintf(meshed, 1_000_000, ""), `,"on_error":"allow"`)
	m.refuses = errors.New("no such cluster")
	waited, on := 0, 0
	for i := range int64(1000) { // a second
		m.now = int64(time.Hour) + i*ms
		switch _, got := m.asks(uint32(i)); got {
		case "waits":
			waited++
		case "on":
			on++
		}
		m.mesh.Calls(m.now)
		m.mesh.Tick(m.now)
	}
	if waited+on != 1000 || len(m.resumed) != waited || waited > 5 {
		t.Errorf("%d waited, of which %d were resumed; %d passed at once", waited, len(m.resumed), on)
	}
	if m.results["failed"] > 10 {
		t.Errorf("%d calls to a Redis that is gone", m.results["failed"])
	}
}

func TestMeshInShadowNobodyWaits(t *testing.T) {
	m := join(t, miniredis.RunT(t), `{"mode":"shadow",`+fmt.Sprintf(meshed, 1, "")[1:], "")
	for stream := uint32(1); stream <= 2; stream++ {
		if _, got := m.asks(stream); got != "on" {
			t.Errorf("request %d: %s", stream, got)
		}
	}
	m.mesh.Calls(m.now)
	m.answer()
	if len(m.resumed) != 0 {
		t.Errorf("resumed: %v", m.resumed)
	}
	if got := strings.Join(m.seen.events, ", "); got != "in shadow, decided allowed, in shadow, decided rate_limited" {
		t.Error(got)
	}
}

func TestMeshCallbacksThatComeTwiceOrNever(t *testing.T) {
	m := join(t, miniredis.RunT(t), fmt.Sprintf(meshed, 5, ""), "")
	m.asks(1)
	m.mesh.Calls(m.now)
	m.mesh.Answered(77, 200, []byte("{}"), m.now) // nobody's
	m.answer()
	m.mesh.Answered(m.last, 200, []byte(`{"result":[1,1,1,0,1,5,1,0]}`), m.now)
	if got := strings.Join(m.resumed, ", "); got != "1 on" {
		t.Errorf("resumed: %s", got)
	}
	// A call whose end is never told is given up, and so is a wake that gets lost.
	m.now += 2000 * ms
	m.asks(2)
	m.now += 100 * ms
	m.mesh.Tick(m.now)
	if len(m.calls) != 1 {
		t.Fatalf("%d calls: the tick makes up for a wake that got lost", len(m.calls))
	}
	clear(m.calls)
	m.now += 2000 * ms
	m.mesh.Tick(m.now)
	if got := strings.Join(m.resumed, ", "); got != "1 on, 2 on" {
		t.Errorf("resumed: %s", got)
	}
}

// TestMeshLateAnswers has an answer to a call that was given up come while the next one is out, and a request waits for
// that.
func TestMeshLateAnswers(t *testing.T) {
	m := join(t, miniredis.RunT(t), fmt.Sprintf(meshed, 5, ""), "")
	m.asks(1)
	m.mesh.Calls(m.now)
	m.answer() // so the script is known
	m.now += 3000 * ms
	m.mesh.Tick(m.now)
	m.answer()
	m.resumed = nil

	m.asks(2)
	m.mesh.Calls(m.now)
	first := m.last
	m.now += 110 * ms
	m.mesh.Tick(m.now) // twice the timeout: given up
	m.asks(3)
	m.mesh.Calls(m.now)
	if m.last == first {
		t.Fatal("no second call")
	}
	m.redis.SetTime(time.Unix(1_800_000_000, m.now))
	m.answerOne(first)
	if got := strings.Join(m.resumed, ", "); got != "2 on" {
		t.Fatalf("resumed: %s; want the first by its share, and the second to wait for its own call", got)
	}
	m.answerOne(m.last) // which the tick had sent, to settle: what waits is told to ask for itself
	m.mesh.Calls(m.now)
	m.answer()
	if got := strings.Join(m.resumed, ", "); got != "2 on, 3 on" {
		t.Errorf("resumed: %s; somebody waits for ever", got)
	}
	if m.results["late"] != 1 {
		t.Errorf("results: %v", m.results)
	}
}

// TestMeshByWebdis has two calls out whose commands have different names, which Webdis's answers repeat.
func TestMeshByWebdis(t *testing.T) {
	m := join(t, nil, `{"rate_limit":{"requests":5,"window_size":"1s","scope":"mesh","key":[{"header":"x-user"}]}}`, `,"dialect":"webdis"`)
	for stream, user := range []string{"a", "b"} {
		m.begin(flow.Request{Stream: uint32(stream + 1), Key: m.plan.Fingerprint(pairs{{"x-user", user}}, "")})
	}
	m.mesh.Calls(m.now)
	if len(m.calls) != 2 {
		t.Fatalf("%d calls; Webdis takes one command at a time", len(m.calls))
	}
	words := func(id uint32) []string { return strings.Split(string(m.calls[id]), "/") }
	const numberAt = 4 + 8 // EVALSHA, sha, 8, the keys; the holder; then the number
	m.mesh.Answered(1, 200, []byte(`{"EVALSHA":[false,"NOSCRIPT No matching script."]}`), m.now)
	number := words(2)[numberAt]
	m.mesh.Answered(2, 200, []byte(`{"EVALSHA":[`+number+`,1800000000000000,1,0,4,5,1,0]}`), m.now)
	if got := words(3)[0]; got != "EVAL" {
		t.Fatalf("after NOSCRIPT: %s", got)
	}
	if got := strings.Join(m.resumed, ", "); got != "2 on" || m.results["failed"] != 0 {
		t.Errorf("resumed: %s, results %v", got, m.results)
	}
}

func TestMeshCountsByKey(t *testing.T) {
	m := join(t, miniredis.RunT(t), `{"rate_limit":{"requests":1,"window_size":"1s","scope":"mesh","key":[{"header":"x-user"}]}}`, "")
	ask := func(stream uint32, user string) {
		m.begin(flow.Request{Stream: stream, Key: m.plan.Fingerprint(pairs{{"x-user", user}}, "")})
	}
	ask(1, "a")
	ask(2, "b")
	ask(3, "a")
	m.mesh.Calls(m.now)
	m.answer()
	got := map[string]bool{}
	for _, r := range m.resumed {
		got[r] = true
	}
	if len(m.resumed) != 3 || !got["1 on"] || !got["2 on"] || !got["3 429"] {
		t.Errorf("resumed: %v", m.resumed)
	}
}
