package request

// State is the request's state, for tests.
func (r *Request) State() State { return r.state }

// Remaining is what the limit had left after the request was admitted, for tests.
func (r *Request) Remaining() int { return int(r.attempt.Limits[0].Verdict.Remaining) }
