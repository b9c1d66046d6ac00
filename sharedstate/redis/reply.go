package redis

import "time"

// Reply is what Redis answered to an Ask.
type Reply struct {
	At         int64         // Redis's clock at the grant, in microseconds
	Granted    int64         // 0 to Ask.Want
	RetryAfter time.Duration // when nothing is left: when the next token comes, unless some are given back before. 0: something is left
	Remaining  int64         // what is left
	Limit      int64         // the limit that holds: an adaptive one moves
	Live       int64         // proxies that called within the window (10 s at least, 10 minutes at most), at least 1
	Ratio      float64       // adaptive: the success rate
	RatioKnown bool
}

const (
	replyLen = 8
	maxInt   = 1 << 53 // what Lua holds exactly
)

// Read makes a script's answer a Reply, or an Error of kind Malformed: it is believed only if it is one that the script
// can give to this ask.
func (l *Limit) Read(r Result, a *LeaseRequest) (Reply, error) {
	if r.Err != nil {
		return Reply{}, r.Err
	}
	if len(r.Ints) != replyLen {
		return Reply{}, malformed("not 8 numbers")
	}
	for _, n := range r.Ints {
		if n < 0 || n > maxInt {
			return Reply{}, malformed("a number out of range")
		}
	}
	number, at, granted, retry := r.Ints[0], r.Ints[1], r.Ints[2], r.Ints[3]
	remaining, limit, live, ratio := r.Ints[4], r.Ints[5], r.Ints[6], r.Ints[7]
	switch {
	case number != a.Number:
		return Reply{}, malformed("of another call")
	case granted > a.Want:
		return Reply{}, malformed("grants more than was asked for")
	case limit < 1 || limit > l.limit || remaining > limit || granted > l.limit:
		return Reply{}, malformed("a limit out of range")
	case at == 0 || live < 1 || ratio > 1e6+1:
		return Reply{}, malformed("a number out of range")
	case (retry == 0) != (remaining > 0):
		return Reply{}, malformed("a wait that is no wait")
	case granted == 0 && a.Want > 0 && remaining > 0: // fewer than needed: a call that was delivered twice, of which this is the second
		return Reply{}, malformed("a refusal though something is left")
	}
	reply := Reply{At: at, Granted: granted, Remaining: remaining, Limit: limit, Live: live}
	reply.RetryAfter = time.Duration(min(retry, micros(maxWindow))) * time.Microsecond
	if ratio > 0 {
		reply.Ratio, reply.RatioKnown = float64(ratio-1)/1e6, true
	}
	return reply, nil
}
