package requesttest

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	goredis "github.com/redis/go-redis/v9"

	"github.com/weir-mesh/weir/filter/internal/mesh"
	"github.com/weir-mesh/weir/filter/internal/request"
	"github.com/weir-mesh/weir/filter/internal/worker"
	"github.com/weir-mesh/weir/sharedstate"
	"github.com/weir-mesh/weir/sharedstate/redis"
)

// MeshProxy is one worker of a proxy of a mesh. Its calls to Redis are kept until Answer, AnswerOne or Lose. It
// implements mesh.Bridge, mesh.Observer and request.Resumer.
type MeshProxy struct {
	*Proxy
	Client    *mesh.Client
	Redis     *miniredis.Miniredis
	Calls     map[uint32][]byte // bodies of the calls that are out, by their id
	LastCall  uint32
	Wakes     int
	Woken     []uint32 // workers that this one has woken
	SendError error    // that Send fails with
	ClockLag  int64    // nanoseconds by which Redis's clock is behind
	Resumed   []string
	Counts    map[string]int // of events: ok, failed, the lease results, reset done, reset failed

	redis *goredis.Client
	queue uint32
}

// JoinMesh starts a proxy with this policy and these members of the document's section redis, each after a comma.
func JoinMesh(t testing.TB, server *miniredis.Miniredis, rules, config string) *MeshProxy {
	t.Helper()
	return JoinMeshOn(t, server, rules, config, sharedstate.NewMemory())
}

// JoinMeshOn starts one worker of a proxy, whose store others share.
func JoinMeshOn(t testing.TB, server *miniredis.Miniredis, rules, config string, store sharedstate.Store) *MeshProxy {
	t.Helper()
	if !strings.Contains(config, "dialect") {
		config = `,"dialect":"upstash"` + config
	}
	document := Decode(t, `{"clusters":{"aws":`+rules+`},"redis":{`+config[1:]+`}}`)
	var random [16]byte
	_, _ = rand.Read(random[:]) // another one for each proxy; it never fails
	w, err := worker.New(store, nil, random)
	if err != nil {
		t.Fatal(err)
	}
	m := &MeshProxy{Redis: server, Calls: map[uint32][]byte{}, Counts: map[string]int{}, queue: w.ID}
	if server != nil {
		m.redis = goredis.NewClient(&goredis.Options{Addr: server.Addr(), Protocol: 2, MaxRetries: -1})
		t.Cleanup(func() { _ = m.redis.Close() })
	}
	o := &Observer{}
	m.Client = mesh.NewClient(document.Redis, w, m, m)
	m.Proxy = &Proxy{t, w, request.NewCluster("aws", document.For("aws"), w, m.Client, m, o), o, int64(time.Hour)}
	return m
}

// Wake implements mesh.Bridge.
func (m *MeshProxy) Wake() { m.Wakes++ }

// Queue implements mesh.Bridge.
func (m *MeshProxy) Queue() uint32 { return m.queue }

// WakeWorker implements mesh.Bridge.
func (m *MeshProxy) WakeWorker(queue uint32) { m.Woken = append(m.Woken, queue) }

// Send implements mesh.Bridge.
func (m *MeshProxy) Send(r *redis.Request) (uint32, error) {
	if m.SendError != nil {
		return 0, m.SendError
	}
	m.LastCall++
	m.Calls[m.LastCall] = append([]byte(nil), r.Body...)
	return m.LastCall, nil
}

// Resume implements request.Resumer.
func (m *MeshProxy) Resume(stream uint32, step request.Step) {
	m.Resumed = append(m.Resumed, fmt.Sprint(stream, " ", Outcome(step)))
}

// Called implements mesh.Observer.
func (m *MeshProxy) Called(failure *mesh.Failure, _ time.Duration) {
	if failure == nil {
		m.Counts["ok"]++
	} else {
		m.Counts["failed"]++
	}
}

// Leased implements mesh.Observer.
func (m *MeshProxy) Leased(r mesh.LeaseResult) { m.Counts[r.String()]++ }

// ResetDone implements mesh.Observer.
func (m *MeshProxy) ResetDone(string) { m.Counts["reset done"]++ }

// ResetFailed implements mesh.Observer.
func (m *MeshProxy) ResetFailed(string) { m.Counts["reset failed"]++ }

// Outcome names a step: "continue", "paused", "429".
func Outcome(step request.Step) string {
	switch step.Kind {
	case request.Continue:
		return "continue"
	case request.PauseRequest:
		return "paused"
	case request.SendReply:
		return fmt.Sprint(step.Reply.Status)
	default:
		return fmt.Sprint("step ", step.Kind)
	}
}

// BeginStream begins the request of this stream, and returns its step's name.
func (m *MeshProxy) BeginStream(stream uint32) (*request.Request, string) {
	r, step := m.Begin(request.Incoming{Stream: stream})
	return r, Outcome(step)
}

// Answer has Redis answer the calls that are out, and those that follow from its answers.
func (m *MeshProxy) Answer() {
	m.Helper()
	m.SetRedisTime()
	for len(m.Calls) > 0 {
		for id := range m.Calls {
			m.AnswerOne(id)
		}
	}
}

// SetRedisTime brings Redis's clock up to Now.
func (m *MeshProxy) SetRedisTime() { m.Redis.SetTime(time.Unix(1_800_000_000, m.Now-m.ClockLag)) }

// AnswerOne has Redis answer one call, in Upstash's dialect.
func (m *MeshProxy) AnswerOne(id uint32) {
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
		result, err := m.redis.Do(context.Background(), words...).Result()
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

// Lose ends the calls that are out without an answer.
func (m *MeshProxy) Lose() {
	for id := range m.Calls {
		delete(m.Calls, id)
		m.Client.Ended(id, 0, nil, m.Now)
	}
}
