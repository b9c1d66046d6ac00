package redis

import (
	"strconv"
	"time"
)

// Reply is what Redis replies to a LeaseRequest.
type Reply struct {
	At         int64         // Redis's clock at the grant, in microseconds
	Granted    int64         // tokens, 0 to LeaseRequest.Want
	RetryAfter time.Duration // until the next token, see longestWait, unless some are given back before; 0: some are left
	Remaining  int64         // tokens that are left
	Limit      int64         // the current limit: an adaptive one moves
	Live       int64         // proxies that called within the window (10 s at least, 10 min at most), at least 1
	Lately     int64         // proxies that called in the last 300 ms, 1 to Live
	Ratio      float64       // adaptive: the success rate, 0 to 1
	RatioKnown bool
}

const (
	replyLen = 9
	maxInt   = 1 << 53 // Lua's numbers are exact up to it
)

// Read makes a script's result a Reply. The result's own error is returned; a result that the script can't give to this
// request is an Error of kind Malformed.
func (l *Limit) Read(r Result, request *LeaseRequest) (Reply, error) {
	if r.Err != nil {
		return Reply{}, r.Err
	}
	if len(r.Ints) != replyLen {
		return Reply{}, malformed(strconv.Itoa(len(r.Ints)) + " numbers, want 9")
	}
	for _, n := range r.Ints {
		if n < 0 || n > maxInt {
			return Reply{}, malformed("a number out of range")
		}
	}
	number, at, granted, retry := r.Ints[0], r.Ints[1], r.Ints[2], r.Ints[3]
	remaining, limit, live, ratio, lately := r.Ints[4], r.Ints[5], r.Ints[6], r.Ints[7], r.Ints[8]
	switch {
	case number != request.Number:
		return Reply{}, malformed("the reply is to another call")
	case granted > request.Want:
		return Reply{}, malformed("more tokens granted than requested")
	case limit < 1 || limit > l.limit || remaining > limit || granted > l.limit:
		return Reply{}, malformed("a limit out of range")
	case at == 0 || live < 1 || lately < 1 || lately > live || ratio > 1e6+1:
		return Reply{}, malformed("a number out of range")
	case (retry == 0) != (remaining > 0):
		return Reply{}, malformed("a wait although tokens are left, or no wait although none are")
	case granted == 0 && request.Want > 0 && remaining > 0: // but fewer than Need are valid, for a call that came twice
		return Reply{}, malformed("no token granted although some are left")
	}
	reply := Reply{At: at, Granted: granted, Remaining: remaining, Limit: limit, Live: live, Lately: lately}
	reply.RetryAfter = time.Duration(min(retry, l.longestWait())) * time.Microsecond
	if ratio > 0 {
		reply.Ratio, reply.RatioKnown = float64(ratio-1)/1e6, true
	}
	return reply, nil
}
