package request

// State is the request's state, for tests.
func (r *Request) State() State { return r.state }
