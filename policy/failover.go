package policy

import "github.com/weir-mesh/weir/policy/header"

// decodeFailover reads `failover`.
func decodeFailover(s *section) *Failover {
	if s == nil {
		return nil
	}
	items, written := s.list("to", "clusters", "required")
	f := &Failover{
		To: s.d.strings(items, func(name string) (kept, problem string) { return name, clusterName(name) }),
	}
	if missing := !s.has("to") || written && len(items) == 0; missing && s.clean() {
		s.mistake("to", "must list at least one cluster")
	}
	name := s.text("header", "header name", header.FailoverCluster, func(name string) (problem string) {
		_, problem = headerName(name)
		return problem
	})
	f.Header, _ = headerName(name)
	s.end()
	return f
}
