package main

import (
	"errors"
	"strconv"
	"time"

	"github.com/weir-mesh/weir/filter/flow"
	"github.com/weir-mesh/weir/filter/host"
	"github.com/weir-mesh/weir/sharedstate/redis"
)

// bridge carries a mesh's calls out, through the HTTP bridge to Redis. A call that a stream's callback makes loses its
// answer when the stream goes, so none is made there: the stream wakes its plugin through a queue of its own.
type bridge struct {
	plugin  *plugin
	cluster string
	timeout uint32 // milliseconds
	queue   uint32
	headers [][2]string // of each request, made once; those of the method and the path first
}

func newBridge(p *plugin) *bridge {
	conf := p.document.Redis
	return &bridge{
		plugin: p, cluster: conf.Cluster, timeout: uint32(max(conf.Timeout.Milliseconds(), 1)),
		headers: [][2]string{{":method", ""}, {":path", ""}, {":authority", conf.Cluster}, {"content-type", ""}},
	}
}

// Wake implements flow.Bridge.
func (b *bridge) Wake() {
	if err := host.Enqueue(b.queue); err != nil {
		b.plugin.faults.note("redis: " + err.Error()) // the next tick makes the call
	}
}

// Call implements flow.Bridge.
func (b *bridge) Call(r *redis.Request) (id uint32, err error) {
	b.headers = b.headers[:4]
	b.headers[0][1], b.headers[1][1], b.headers[3][1] = r.Method, r.Path, r.ContentType
	if r.Authorization != "" {
		b.headers = append(b.headers, [2]string{"authorization", r.Authorization})
	}
	id, err = host.Dispatch(b.cluster, b.headers, r.Body, b.timeout, func(size int) { b.ended(id, size) })
	return id, err
}

// ended reads the answer to a call. Where there is none (a timeout, no connection) it has no headers.
func (b *bridge) ended(id uint32, size int) {
	host.ReuseMemory()
	defer b.plugin.rescue()
	status := 0
	if text, err := host.Header(host.CallHeaders, ":status"); err == nil {
		status, _ = strconv.Atoi(text) // what is no number is no answer
	}
	var body []byte
	if status != 0 && size > 0 {
		var err error
		if body, err = host.Bytes(host.CallBody, 0, min(size, redis.MaxBody+1)); err != nil {
			status = 0
		}
	}
	b.plugin.mesh.Answered(id, status, body, host.Now())
}

// Resume implements flow.Bridge.
func (b *bridge) Resume(stream uint32, step flow.Step) {
	s := b.plugin.paused[stream]
	if s == nil {
		return // gone
	}
	delete(b.plugin.paused, stream)
	if b.plugin.held.streams[stream] == s { // it is a later try that waited
		b.plugin.goOn(s, func() flow.Step { return step })
		return
	}
	if err := host.Enter(stream); err != nil {
		s.fault(err)
		return
	}
	if s.carryOut(host.RequestHeaders, step) == host.Continue {
		if err := host.ResumeRequest(); err != nil {
			s.fault(err)
		}
	}
	if err := host.Enter(b.plugin.id); err != nil {
		s.fault(err)
	}
}

// patience is how long a stream waits for Redis before it is let pass, whatever became of the call: longer than any call
// takes, of which the mesh tells by itself.
func (b *bridge) patience() int64 {
	return int64(time.Second) + 8*int64(b.timeout)*int64(time.Millisecond)
}

// release lets the streams pass that have waited for longer than patience. There are none, unless the filter itself went wrong.
func (p *plugin) release(now, patience int64) {
	for id, s := range p.paused {
		if now-s.paused < patience {
			continue
		}
		s.fault(errForgotten)
		s.exchange.Abandon(now)
		p.bridge.Resume(id, flow.Step{})
	}
}

var errForgotten = errors.New("a request waited for Redis and was forgotten")

// OnQueueReady implements host.PluginContext: a stream of this worker has woken the plugin.
func (p *plugin) OnQueueReady(uint32) {
	defer p.rescue()
	host.Drain(p.bridge.queue)
	p.mesh.Calls(host.Now())
}

// joinMesh signs the plugin on at the limits that all proxies share.
func (p *plugin) joinMesh() (err error) {
	p.bridge = newBridge(p)
	p.mesh = flow.NewMesh(p.document.Redis, p.worker, p.bridge, newRedisObserver(p.faults))
	p.paused = map[uint32]*stream{}
	p.bridge.queue, err = host.RegisterQueue("weir/" + p.mesh.Name())
	return err
}

// ticks is how often OnTick is wanted.
func (p *plugin) ticks() time.Duration {
	switch {
	case p.mesh != nil:
		return flow.TickEvery
	case p.counting:
		return late
	default:
		return flow.BeatEvery
	}
}
