package plugin

// streams are the streams of a VM that have ended, to be used again: a new one for each request would be garbage, and
// TinyGo's collector costs 29,000 instructions a request as soon as anything is.
type streams struct{ idle []*stream }

// maxIdle bounds the streams that are kept, at some 1 KB each, after a burst of requests.
const maxIdle = 256

// maxIdlePath bounds the bytes of a path for which such a stream keeps room.
const maxIdlePath = 256

// get is a fresh stream.
func (ss *streams) get(p *Plugin, id uint32) *stream {
	last := len(ss.idle) - 1
	if last < 0 {
		return &stream{plugin: p, id: id}
	}
	s := ss.idle[last]
	ss.idle = ss.idle[:last]
	s.plugin, s.id = p, id
	return s
}

// put keeps a stream that has ended, unless something may still refer to it: an attempt of the filter that is on its way,
// or a request in shadow whose stage waits for Redis.
func (ss *streams) put(s *stream) {
	if s.call != nil || s.asked != nil || s.request.Waits() || len(ss.idle) == maxIdle {
		return
	}
	path := s.path[:0]
	if cap(path) > maxIdlePath {
		path = nil
	}
	*s = stream{path: path}
	ss.idle = append(ss.idle, s)
}
