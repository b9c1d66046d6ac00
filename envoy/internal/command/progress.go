package command

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/weir-mesh/weir/envoy/internal/replay"
)

// progress is a bar on a terminal, one line that is written again and again:
//
//	policy.yaml  [############............]  52 %  14 s left
type progress struct {
	out   io.Writer // nil: no terminal, and no bar
	now   func() time.Time
	title string
	began time.Time // this title
	shown time.Time
	dirty bool
}

func newProgress(w io.Writer) *progress {
	p := &progress{now: time.Now}
	if isTerminal(w) {
		p.out = w
	}
	return p
}

// show shows how much is done; total 0: not known.
func (p *progress) show(title string, done, total int64) {
	const (
		every = 100 * time.Millisecond
		width = 24
	)
	if p.out == nil {
		return
	}
	now := p.now()
	if title != p.title {
		p.title, p.began = title, now
	}
	if now.Sub(p.shown) < every {
		return
	}
	p.shown, p.dirty = now, true
	if total <= 0 {
		fmt.Fprintf(p.out, "\r\x1b[K%s  %s", title, replay.Thousands(int(done)))
		return
	}
	done = min(done, total)
	filled := int(width * done / total)
	left := ""
	if past := now.Sub(p.began); past > time.Second && done > 0 {
		left = "  " + replay.Since(time.Duration(float64(past)*float64(total-done)/float64(done))) + " left"
	}
	fmt.Fprintf(p.out, "\r\x1b[K%s  [%s%s]  %2d %%%s", title, strings.Repeat("#", filled), strings.Repeat(".", width-filled), 100*done/total, left)
}

// clear removes the bar.
func (p *progress) clear() {
	if p.dirty {
		fmt.Fprint(p.out, "\r\x1b[K")
		p.dirty = false
	}
}
