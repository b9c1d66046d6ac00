package plugin

import (
	"github.com/weir-mesh/weir/filter/internal/host"
)

// watch sets an alarm for a response of a half-open breaker's probe: it is accepted where it still flows then. Its breaker
// would otherwise wait for its end, which for a stream may be days away.
func (p *Plugin) watch(s *stream) {
	due := s.request.DueToAccept()
	if due == 0 {
		return
	}
	s.watched = true
	p.watched[s.id] = s
	p.held.alarms.add(due, s.id)
	p.setTimer(host.Now())
}

// lookAt carries out the alarm that watch set.
func (p *Plugin) lookAt(id uint32, now int64) {
	s := p.watched[id]
	if s == nil {
		return
	}
	delete(p.watched, id)
	s.watched = false
	defer func() {
		if r := recover(); r != nil {
			s.request.Forget()
			p.observe.Faults.Report(panicText(r))
		}
	}()
	s.request.Watch(now)
}
