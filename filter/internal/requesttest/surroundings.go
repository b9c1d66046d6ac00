package requesttest

// Surroundings are those of a request in a test. The zero Surroundings say nothing of who asks.
type Surroundings struct {
	Route string
	Who   bool // something says who asks
	Reads int  // how often they were asked
}

// AppendRoute implements fallbackcache.Surroundings.
func (s *Surroundings) AppendRoute(b []byte) []byte {
	s.Reads++
	return append(b, s.Route...)
}

// Identified implements fallbackcache.Surroundings.
func (s *Surroundings) Identified() bool {
	s.Reads++
	return s.Who
}
