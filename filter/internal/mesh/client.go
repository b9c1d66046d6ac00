// Package mesh is the client of Redis: the limits that all proxies share.
//
//	request ─ Limit.Admit ─► a leased token is there: admitted, no I/O
//	                         none is left: the request waits in a queue, Bridge.Wake
//	Bridge ──► Client.MakeCalls ──► one HTTP call for all that is due
//	       ──► Client.Ended ──────► requests that wait are decided, in order
//
// Leased tokens are in this worker's own memory. A call for more is made in the background, before they are used up.
// Package lease says why that never admits too many.
package mesh

import (
	"slices"
	"strconv"
	"time"

	"github.com/dchest/siphash"

	"github.com/weir-mesh/weir/filter/internal/worker"
	"github.com/weir-mesh/weir/policy"
	"github.com/weir-mesh/weir/sharedstate/redis"
	"github.com/weir-mesh/weir/sharedstate/redis/lease"
	"github.com/weir-mesh/weir/sharedstate/registry"
)

// TickEvery is how often Client.Tick has to be called.
const TickEvery = 20 * time.Millisecond

// overdue is how long after its timeouts a call is given up. Envoy reports the end of each call, so this only bounds
// memory if it does not.
const overdue = time.Second

// Bridge is the way to Redis.
type Bridge interface {
	// Wake has Client.MakeCalls called soon, from a callback of the plugin: a call from a stream's callback would lose
	// its reply when the stream ends.
	Wake()
	// Send sends a request. When it has ended, after Send has returned, Client.Ended is called with this id.
	Send(r *redis.Request) (id uint32, err error)
	// Queue is what others wake this worker by.
	Queue() uint32
	// WakeWorker has Client.MakeCalls called soon in the worker that has this queue.
	WakeWorker(queue uint32)
}

// Observer is notified of the results of calls to Redis.
type Observer interface {
	// Called reports how a call ended: nil where it succeeded, and how long it took.
	Called(failure *Failure, took time.Duration)
	// Leased reports what a call brought for one limit.
	Leased(r LeaseResult)
	// ResetDone reports that Redis has deleted a cluster's limit, which an operator has reset.
	ResetDone(cluster string)
	// ResetFailed reports that Redis has not, and that there are no more tries.
	ResetFailed(cluster string)
}

// LeaseResult is what a call to Redis brought for one limit.
type LeaseResult uint8

// The results of a call for one limit.
const (
	LeaseGranted LeaseResult = iota // some tokens
	LeaseRefused                    // none: the limit is used up
	LeaseSettled                    // none were asked for: the call only reported what was used
	LeaseLost                       // no valid reply
	LeaseLate                       // a reply to a call that had been given up
)

// String is the result's name in the metric's label.
func (r LeaseResult) String() string {
	return [...]string{"granted", "refused", "settled", "lost", "late"}[r]
}

// Client is one plugin's client of Redis. One goroutine uses it at a time.
type Client struct {
	config   *policy.Redis
	worker   *worker.Worker
	leases   *lease.Worker
	dialect  redis.Dialect
	bridge   Bridge
	observer Observer
	limits   []*Limit

	ShowRemaining bool // although no header says it: how many requests a limit still admits

	name    string
	proxy   string           // in Redis
	proxies map[string]int64 // live proxies by cluster, see local.go

	queues map[*lease.Holder]*queue
	pools  []*queue // those of pools
	due    []*queue
	woken  bool
	calls  map[uint32]*call
	resets map[uint32]*resetCall

	sinceBeat registry.CallsSince // how calls ended since the last heartbeat

	commands []redis.Command // of the request that is being built
	results  []redis.Result
}

// call is an HTTP call that is in flight.
type call struct {
	parts  []part
	sent   int64
	source bool // it sends the scripts' sources, not their digests
}

// part is the part of a call for one holder.
type part struct {
	queue   *queue
	number  int64
	request *redis.LeaseRequest // the holder's; it belongs to this call while queue.inFlight is its number
}

// NewClient is a client for the worker's plugin. Its name as a leaseholder is never used again: a reload has another
// one.
func NewClient(config *policy.Redis, w *worker.Worker, bridge Bridge, observer Observer) *Client {
	proxy := strconv.FormatUint(siphash.Hash(w.Seed[0], w.Seed[1], []byte("proxy")), 36)
	name := proxy + "-" + strconv.FormatUint(uint64(w.ID), 36) + "-" + strconv.FormatUint(uint64(w.NextMesh()), 36)
	c := &Client{
		config: config, worker: w, bridge: bridge, observer: observer, name: name,
		proxy:   proxy,
		proxies: map[string]int64{}, queues: map[*lease.Holder]*queue{},
		calls: map[uint32]*call{}, resets: map[uint32]*resetCall{},
	}
	c.leases = c.leasesOf("")
	if config.Dialect == policy.DialectUpstash {
		c.dialect = redis.NewUpstash(config.Token)
	} else {
		c.dialect = &redis.Webdis{}
	}
	return c
}

// leasesOf is this client as a leaseholder, by its name and more.
func (c *Client) leasesOf(more string) *lease.Worker {
	seed := siphash.Hash(c.worker.Seed[0], c.worker.Seed[1], []byte(c.name+more))
	return lease.NewWorker(c.name+more, c.proxy, c.config.Timeout, seed)
}

// Name is this client's, and no other's in this process or any other.
func (c *Client) Name() string { return c.name }

// KeySeed is the seed for hashing keys. All proxies must hash alike, also while the Redis token is being replaced, so
// it is not secret. A client that finds two keys that collide gains nothing: both share one limit.
func (c *Client) KeySeed() (seed [2]uint64) {
	seed[0], seed[1] = siphash.Hash128(0x5765_6972, 1, []byte("weir keys\x00"+c.config.KeyPrefix))
	return seed
}

// MakeCalls makes the calls that are due, and decides on requests that waited for the call of another worker.
func (c *Client) MakeCalls(now int64) {
	c.woken = false
	for _, q := range slices.Clone(c.pools) {
		if pool, ok := q.from.(*lease.Pool); ok && len(q.waiting) > 0 {
			c.deliver(q, pool.Tick(now), now)
			c.release(q)
		}
	}
	due := c.due
	c.due = nil
	parts := make([]part, 0, len(due))
	for _, q := range due {
		q.due = false
		request, decisions, ok := q.from.NextCall(now)
		c.deliver(q, decisions, now)
		if ok {
			q.inFlight = request.Number
			parts = append(parts, part{q, request.Number, request})
		} else {
			c.release(q)
		}
	}
	c.sendAll(parts, false, now)
}

// sendAll makes calls, each with as many parts as the dialect takes at a time.
func (c *Client) sendAll(parts []part, source bool, now int64) {
	for len(parts) > 0 {
		n := min(len(parts), c.dialect.MaxCommands())
		c.send(parts[:n:n], source, now)
		parts = parts[n:]
	}
}

func (c *Client) send(parts []part, source bool, now int64) {
	for len(c.commands) < len(parts) {
		c.commands = append(c.commands, redis.Command{})
	}
	for i := range parts {
		q := parts[i].queue
		q.limit.Command(&c.commands[i], q.place, parts[i].request, source)
	}
	request := c.dialect.Request(c.commands[:len(parts)])
	id, err := c.bridge.Send(&request)
	if err != nil {
		c.ended(failureOf(notSent(err)), 0)
		for i := range parts {
			c.lost(&parts[i], parts[i].queue.from.Fail(parts[i].number, redis.OfRedis, now), now)
		}
		return
	}
	c.calls[id] = &call{parts: parts, sent: now, source: source}
}

// Tick is to be called every TickEvery.
func (c *Client) Tick(now int64) {
	for id, out := range c.calls {
		if !c.isOverdue(out.sent, now) {
			continue
		}
		delete(c.calls, id) // its holders gave it up at their own timeout
		for i := range out.parts {
			if p := &out.parts[i]; p.queue.inFlight == p.number {
				p.queue.inFlight = 0
				c.release(p.queue)
			}
		}
	}
	for _, l := range c.limits {
		l.tick(now)
	}
	if len(c.due) > 0 {
		c.MakeCalls(now)
	}
}

func (c *Client) isOverdue(sent, now int64) bool { return now-sent > int64(overdue+4*c.config.Timeout) }

// Forget drops all limits, since their clusters are made again. Their leased tokens count in Redis until they expire.
func (c *Client) Forget() { c.limits = nil }
