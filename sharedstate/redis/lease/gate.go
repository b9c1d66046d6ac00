package lease

import "time"

// Gate is the breaker around Redis: after a few failures in a row no call is made for a while, then one to see whether
// Redis is back. Nobody waits for that one. The zero Gate is open.
//
//	Open ── threshold failures ──► Closed ── wait is over ──► Probing ── success ──► Open
//	                                 ▲                           │
//	                                 └── failure: wait x 2 ──────┘
type Gate struct {
	failures int
	wait     int64
	until    int64 // closed until then; 0: open
	probe    int64 // a probe is out until then
}

// GateState is what a Gate lets through.
type GateState uint8

// The states of a gate: all calls pass; none does; one may, and nobody is to wait for it.
const (
	GateOpen GateState = iota
	GateClosed
	GateProbing
)

func (s GateState) String() string { return [...]string{"open", "closed", "probing"}[s] }

const (
	threshold   = 2
	firstWait   = int64(100 * time.Millisecond)
	longestWait = int64(500 * time.Millisecond) // nobody waits for a probe, and after a pause every wait is time without Redis
)

// State is the gate's at time now, in nanoseconds of a monotonic clock.
func (g *Gate) State(now int64) GateState {
	switch {
	case g.until == 0:
		return GateOpen
	case now < g.until || now < g.probe:
		return GateClosed
	default:
		return GateProbing
	}
}

// sent notes that a call goes out, which is answered or given up within timeout.
func (g *Gate) sent(now, timeout int64) {
	if g.until != 0 {
		g.probe = now + 2*timeout
	}
}

func (g *Gate) succeeded() { *g = Gate{} }

func (g *Gate) failed(now int64) {
	g.failures++
	if g.failures < threshold {
		return
	}
	if g.until == 0 {
		g.wait = firstWait
	} else if now >= g.until { // a failure of a call that was sent before it closed tells nothing new
		g.wait = min(2*g.wait, longestWait)
	}
	g.until, g.probe = max(g.until, now+g.wait), 0
}
