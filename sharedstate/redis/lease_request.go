package redis

// LeaseRequest is one call to Redis, for one limit: it requests tokens and settles leases.
type LeaseRequest struct {
	Holder string // a worker, from its start to its end; its name is never used again
	Number int64  // of this call, never used before by the holder; the lease is named by holder and number
	Proxy  string // the worker's proxy

	Need int64 // tokens that requests wait for
	Want int64 // tokens wanted in all, at least Need; 0: the call only settles

	Successes, Failures int64 // outcomes since the last call, for an adaptive limit

	Settled []Settlement // leases that are not used any more
}

// MaxSettled is how many leases a call can settle.
const MaxSettled = 8

// MaxUses is how many different times of use a settlement can report.
const MaxUses = 8

// Settlement reports a lease. Tokens that are not in Uses were not used, and never will be.
type Settlement struct {
	Number int64 // of the call that it was granted by
	At     int64 // Reply.At of its grant; 0: no reply came, so there are no uses
	Uses   [MaxUses]Use
	Len    int // of Uses
}

// Use is a number of tokens and the time of their use, by the holder's clock: microseconds since before it sent the
// call, rounded up, at most the lease's ttl.
type Use struct{ Offset, Tokens int64 }

// Used is the number of tokens that were used.
func (s *Settlement) Used() (sum int64) {
	for _, u := range s.Uses[:s.Len] {
		sum += u.Tokens
	}
	return sum
}

// Command makes c the command for a request: EVALSHA, or EVAL with the script's source (see IsNoScript).
func (l *Limit) Command(c *Command, p *Place, a *LeaseRequest, source bool) {
	c.script(l.script, source)
	l.addKeys(c, p)
	c.Text(a.Holder)
	c.Int(a.Number)
	c.Text(a.Proxy)
	c.Int(a.Need)
	c.Int(a.Want)
	c.Int(l.ttl)
	c.Int(a.Successes)
	c.Int(a.Failures)
	c.Int(p.maxKeys)
	c.Text(p.key)
	for _, n := range l.numbers {
		c.Int(n)
	}
	c.Text(l.name)
	c.Text(l.record)
	c.Int(l.limit)
	c.Int(int64(len(a.Settled)))
	for i := range a.Settled {
		s := &a.Settled[i]
		c.Int(s.Number)
		c.Int(s.At)
		c.Int(int64(s.Len))
		for _, u := range s.Uses[:s.Len] {
			c.Int(u.Offset)
			c.Int(u.Tokens)
		}
	}
}
