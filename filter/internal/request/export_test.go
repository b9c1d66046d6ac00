package request

// State is where the request stands, for tests.
func (r *Request) State() State { return r.state }
