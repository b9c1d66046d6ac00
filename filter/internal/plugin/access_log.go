package plugin

import (
	"strconv"

	"github.com/weir-mesh/weir/filter/internal/host"
	"github.com/weir-mesh/weir/filter/internal/key"
	"github.com/weir-mesh/weir/policy"
	"github.com/weir-mesh/weir/policy/header"
)

// noteDecision writes what the policy asks for into the stream's filter state, where Envoy's access log finds it as
// %FILTER_STATE(wasm.weir.decision:PLAIN)%. It has to run in a callback of the stream, before a local reply, with which the stream
// may end.
func (s *stream) noteDecision() {
	wanted := s.plugin.document.AccessLog
	if wanted == 0 || s.noted {
		return
	}
	d, ok := s.request.Decision()
	if !ok {
		return
	}
	s.noted = true
	b := s.plugin.note[:0]
	if wanted&policy.LogDecision != 0 {
		if d.Shadow && d.Reason != 0 {
			b = append(b, header.ShadowPrefix...)
		}
		b = append(b, d.Reason.String()...)
		s.note(host.LoggedDecision, b)
	}
	if wanted&policy.LogKey != 0 && d.HasKey {
		b = key.AppendHash(b[:0], d.Key)
		s.note(host.LoggedKey, b)
	}
	if wanted&policy.LogRemaining != 0 && d.HasLimit {
		b = strconv.AppendInt(b[:0], d.Remaining, 10)
		s.note(host.LoggedRemaining, b)
	}
	if wanted&policy.LogBreaker != 0 && d.HasBreaker {
		b = append(b[:0], d.Breaker.String()...)
		s.note(host.LoggedBreaker, b)
	}
	s.plugin.note = b
}

func (s *stream) note(p host.Path, value []byte) {
	if err := host.SetProperty(p, value); err != nil {
		s.fault(err)
	}
}
