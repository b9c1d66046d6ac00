package requesttest

// Surroundings are those of a request in a test. The zero Surroundings say nothing of who asks.
type Surroundings struct {
	Route   string
	Unnamed bool // the route has no name
	Who     bool // something says who asks
	Reads   int  // how often they were asked
}

// AppendRoute implements fallbackcache.Surroundings.
func (s *Surroundings) AppendRoute(b []byte) (route []byte, named bool) {
	s.Reads++
	return append(b, s.Route...), !s.Unnamed
}

// Identified implements fallbackcache.Surroundings.
func (s *Surroundings) Identified() bool {
	s.Reads++
	return s.Who
}
