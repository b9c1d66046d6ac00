package replay

import (
	"slices"
	"strconv"
	"time"
)

// Envoy buffers the response to a call whole, without a bound of its own. So a worker's attempts are bounded in number,
// and Weir in the internal listener counts the bytes of their responses as they pass, and ends what is too long.
const (
	maxInFlight      = 1024     // attempts of one worker; a request for which there is no room is not sent again
	maxResponseBytes = 32 << 20 // of all responses that one worker reads now
)

// InFlight are the attempts of one worker that were sent and have not ended. The zero InFlight is empty.
type InFlight struct {
	attempts map[string]*Attempt
	bytes    int
	last     uint64 // number of an attempt

	unseen [32]string // IDs of the last attempts that ended before they came to the internal listener
	oldest int        // the place of the next of them
}

// Attempt is one of them. The plugin that sends it and the one in the internal listener both see it.
type Attempt struct {
	ID       string // the value of header.Attempt
	Cluster  string // whose policy admitted it
	Timeout  time.Duration
	Metadata []byte // that filters have noted about the request, canonical
	Internal bool   // the request came from inside: it has x-envoy-internal

	Seen    bool   // it came to the internal listener
	Status  int    // of upstream's response, 0 before it
	Details string // response.code_details there, "" before a response
	Reason  Reason // why its response can't be passed on
	Left    bool   // nobody waits for it any more

	// Asks: it goes no further than to the internal listener, where it gets what the route adds to responses: Added.
	Asks  bool
	Added [][2]string

	bytes   int
	expires int64
}

// Begin notes an attempt that is sent now; nil if there are too many. Random keeps a client that can guess the way into
// the internal listener from taking part in another's attempt.
func (f *InFlight) Begin(cluster string, timeout time.Duration, random uint64, now int64) *Attempt {
	if len(f.attempts) >= maxInFlight {
		f.expire(now)
	}
	if len(f.attempts) >= maxInFlight {
		return nil
	}
	if f.attempts == nil {
		f.attempts = map[string]*Attempt{}
	}
	f.last++
	const grace = 10 * time.Second // Envoy ends the call before
	a := &Attempt{
		ID:      strconv.FormatUint(random, 36) + "-" + strconv.FormatUint(f.last, 36),
		Cluster: cluster, Timeout: timeout, expires: now + int64(timeout+grace),
	}
	f.attempts[a.ID] = a
	return a
}

// expire drops attempts whose end nobody told: their plugin is gone.
func (f *InFlight) expire(now int64) {
	for _, a := range f.attempts {
		if now > a.expires {
			f.End(a)
		}
	}
}

// Find is the attempt with an ID, nil if there is none.
func (f *InFlight) Find(id string) *Attempt { return f.attempts[id] }

// HasEnded reports whether an ID is that of an attempt that ended a while ago, before it came to the internal listener: where a
// worker is busy for longer than an attempt's timeout, the call is over before its request is read.
func (f *InFlight) HasEnded(id string) bool { return id != "" && slices.Contains(f.unseen[:], id) }

// Add counts bytes of a response's body that pass. If the attempt can't have them, ok is false and Reason says why.
func (f *InFlight) Add(a *Attempt, bytes int) (ok bool) {
	switch {
	case f.attempts[a.ID] != a:
		return false // it is over
	case a.bytes+bytes > MaxResponse:
		a.Reason = ResponseTooLong
	case f.bytes+bytes > maxResponseBytes:
		a.Reason = TooManyBytes
	default:
		a.bytes += bytes
		f.bytes += bytes
		return true
	}
	return false
}

// End removes an attempt. Twice is no harm.
func (f *InFlight) End(a *Attempt) {
	if f.attempts[a.ID] != a {
		return
	}
	delete(f.attempts, a.ID)
	f.bytes -= a.bytes
	if !a.Seen {
		f.unseen[f.oldest] = a.ID
		f.oldest = (f.oldest + 1) % len(f.unseen)
	}
}

// Len is how many attempts are in flight.
func (f *InFlight) Len() int { return len(f.attempts) }

// Bytes is how many bytes of their responses have come.
func (f *InFlight) Bytes() int { return f.bytes }
