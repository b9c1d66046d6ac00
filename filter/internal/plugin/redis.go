package plugin

import (
	"errors"
	"strings"
	"time"

	"github.com/weir-mesh/weir/filter/internal/host"
	"github.com/weir-mesh/weir/filter/internal/mesh"
	"github.com/weir-mesh/weir/filter/internal/observe"
	"github.com/weir-mesh/weir/filter/internal/request"
	"github.com/weir-mesh/weir/filter/internal/shareddata"
	"github.com/weir-mesh/weir/policy"
	"github.com/weir-mesh/weir/policy/decimal"
	"github.com/weir-mesh/weir/sharedstate/redis"
)

// redisBridge makes a plugin's calls to Redis, through the HTTP bridge. A call from a stream's callback loses its reply
// when the stream ends, so the stream wakes the plugin by a queue instead, and the plugin makes the call. It implements
// mesh.Bridge.
type redisBridge struct {
	plugin  *Plugin
	cluster string
	timeout uint32 // milliseconds
	queue   uint32
	headers [][2]string        // of each request, made once; those of the method and the path first
	paused  map[uint32]*stream // the streams that wait for Redis
}

// startMesh makes the plugin's client of Redis.
func (p *Plugin) startMesh() (err error) {
	config := p.document.Redis
	p.redis = &redisBridge{
		plugin: p, cluster: config.Cluster, timeout: uint32(max(config.Timeout.Milliseconds(), 1)),
		headers: [][2]string{{":method", ""}, {":path", ""}, {":authority", authority(config.Cluster)}, {"content-type", ""}},
		paused:  map[uint32]*stream{},
	}
	p.mesh = mesh.NewClient(config, p.worker, p.redis, observe.NewRedis(shareddata.Store{}, p.observe.Metrics))
	p.mesh.ShowRemaining = p.document.AccessLog&policy.LogRemaining != 0
	p.redis.queue, err = host.RegisterQueue("weir/" + p.mesh.Name())
	return err
}

// authority is the host that calls are for: that of Istio's name for a cluster, outbound|7379||bridge.shop.svc.cluster.local.
// Go's HTTP server, and so the bridge, answers 400 to a host with a | in it.
func authority(cluster string) string {
	if host := cluster[strings.LastIndexByte(cluster, '|')+1:]; host != "" {
		return host
	}
	return cluster
}

// Wake implements mesh.Bridge.
func (b *redisBridge) Wake() {
	if err := host.Enqueue(b.queue); err != nil {
		b.plugin.observe.Faults.Log("redis: " + err.Error()) // the next tick makes the call
	}
}

// Queue implements mesh.Bridge.
func (b *redisBridge) Queue() uint32 { return b.queue }

// WakeWorker implements mesh.Bridge. Where that worker is gone, or its VM was replaced, nobody waits there.
func (b *redisBridge) WakeWorker(queue uint32) { _ = host.Enqueue(queue) }

// OnQueueReady implements host.PluginContext: a stream of this worker has woken the plugin, or a call of another worker has
// ended.
func (p *Plugin) OnQueueReady(uint32) {
	defer p.rescue()
	host.Drain(p.redis.queue)
	p.mesh.MakeCalls(host.Now())
}

// Send implements mesh.Bridge.
func (b *redisBridge) Send(r *redis.Request) (id uint32, err error) {
	b.headers = b.headers[:4]
	b.headers[0][1], b.headers[1][1], b.headers[3][1] = r.Method, r.Path, r.ContentType
	if r.Authorization != "" {
		b.headers = append(b.headers, [2]string{"authorization", r.Authorization})
	}
	id, err = host.Dispatch(b.cluster, b.headers, r.Body, b.timeout, func(size int) { b.ended(id, size) })
	return id, err
}

// ended reads the reply to a call. Without a reply (a timeout, no connection) there are no headers.
func (b *redisBridge) ended(id uint32, size int) {
	host.ReuseMemory()
	defer b.plugin.rescue()
	status := 0
	if text, err := host.Header(host.CallHeaders, ":status"); err == nil {
		status, _ = decimal.Int(text) // 0, no reply, unless it is a number
	}
	var body []byte
	if status != 0 && size > 0 {
		var err error
		if body, err = host.Bytes(host.CallBody, 0, min(size, redis.MaxBody+1)); err != nil {
			status = 0
		}
	}
	b.plugin.mesh.Ended(id, status, body, host.Now())
}

// pause notes that a stream waits for Redis.
func (p *Plugin) pause(s *stream) {
	s.paused = host.Now()
	p.redis.paused[s.id] = s
}

// Resume implements request.Resumer.
func (p *Plugin) Resume(id uint32, step request.Step) {
	s := p.redis.paused[id]
	if s == nil {
		return // the client has left
	}
	delete(p.redis.paused, id)
	if p.held.streams[id] == s { // a later attempt waited, not the first
		p.carryOutHeld(s, func() request.Step { return step })
		return
	}
	if err := host.Enter(id); err != nil {
		s.fault(err)
		return
	}
	s.noteDecision()
	if s.carryOut(host.RequestHeaders, step) == host.Continue {
		if err := host.ResumeRequest(); err != nil {
			s.fault(err)
		}
	}
	if err := host.Enter(p.id); err != nil {
		s.fault(err)
	}
}

// pauseTimeout is after how long a stream that waits for Redis passes, in nanoseconds. Every call has ended before
// that, which resumes the stream, so it only matters after a fault of the filter.
func (b *redisBridge) pauseTimeout() int64 {
	return int64(time.Second) + 8*int64(b.timeout)*int64(time.Millisecond)
}

var errPausedTooLong = errors.New("a request waited for Redis, and no decision came")

// expirePaused lets the streams pass that have waited for pauseTimeout or longer: after a fault of the filter.
func (p *Plugin) expirePaused(now, pauseTimeout int64) {
	if p.redis == nil {
		return
	}
	for id, s := range p.redis.paused {
		if now-s.paused >= pauseTimeout {
			s.fault(errPausedTooLong)
			s.request.Abandon(now)
			p.Resume(id, request.Step{})
		}
	}
}
