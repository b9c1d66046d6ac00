package breaker

// MaxWindows is the largest number of windows of one rate: those of the old and the new side of two listeners.
const MaxWindows = 4

// Windows count the calls of one rate, for each length that a policy has. Usually there is one: several if two
// listeners, or the old and the new side of a reload, have different lengths for one breaker:
//
//	30 s │ 60 s │ fresh │ fresh        the fresh ones are the last
//
// A call is counted in all of them, so each holds what it would hold if all plugins had its length.
type Windows [MaxWindows]Window

// add counts one call that ended at time now, for a plugin whose policy has this rate.
func (ws *Windows) add(r *Rate, bad bool, now int64) {
	width := r.width()
	if alone := &ws[0]; ws[1].Width == 0 && (alone.Width == width || alone.Width == 0) {
		alone.add(width, bad, now)
		return
	}
	own := ws.of(width)
	if own == nil {
		own = ws.join(width, now)
	}
	own.Used = stamp(now)
	ws.dropUnused(now)
	for i := range ws {
		if w := &ws[i]; w.Width != 0 {
			w.add(w.Width, bad, now)
		}
	}
}

// reaches reports whether the share of bad calls opens the breaker, for a plugin whose policy has this rate.
func (ws *Windows) reaches(r *Rate) bool {
	own := ws.of(r.width())
	return own != nil && own.reaches(r)
}

// of is the window of this width, nil if there is none.
func (ws *Windows) of(width int64) *Window {
	for i := range ws {
		if ws[i].Width == width {
			return &ws[i]
		}
	}
	return nil
}

// len is the number of windows that are not fresh.
func (ws *Windows) len() int {
	n := 0
	for n < MaxWindows && ws[n].Width != 0 {
		n++
	}
	return n
}

// join makes a window of this width. If there are too many, it takes the place of the one that was not used for the
// longest time.
func (ws *Windows) join(width, now int64) *Window {
	n := ws.len()
	own := ws.source(width).rescaled(width, now)
	if n == MaxWindows {
		n = 0
		for i := range ws {
			if ws[i].age(now) > ws[n].age(now) {
				n = i
			}
		}
	}
	for i := range ws {
		if w := &ws[i]; w.Width != 0 && w.Used == 0 { // it was alone
			w.Used = stamp(now)
		}
	}
	ws[n] = own
	return &ws[n]
}

// source is the window that knows the most about the last calls of a new one: the shortest that is as long, or else the
// longest.
func (ws *Windows) source(width int64) *Window {
	best := &ws[0]
	for i := range ws {
		switch w := &ws[i]; {
		case w.Width == 0:
		case best.Width < width && w.Width > best.Width,
			w.Width >= width && w.Width < best.Width:
			best = w
		}
	}
	return best
}

// rescaled is a window of another width with the calls of this one. A bucket's calls count as if they had ended at the
// bucket's end: none counts for less than the length of the new window, as far as this one remembers it.
func (w *Window) rescaled(width, now int64) Window {
	var to Window
	w.advance(w.Width, now)
	newest := max(now, w.Start)
	for i := int64(Buckets) - 1; i >= 0; i-- {
		start := w.Start - i*w.Width
		if start < 0 {
			continue
		}
		from := w.Buckets[w.index(start)]
		if from.Calls == 0 {
			continue
		}
		to.advance(width, min(start+w.Width-1, newest))
		b := &to.Buckets[to.index(to.Start)]
		calls := min(b.Calls, ^from.Calls) + from.Calls // at most MaxUint32
		b.Bad = min(min(b.Bad, ^from.Bad)+from.Bad, calls)
		b.Calls = calls
	}
	to.advance(width, now)
	return to
}

// dropUnused removes the windows whose plugins are gone. A window that remains alone is packed as if there had never
// been another.
func (ws *Windows) dropUnused(now int64) {
	n := 0
	for i := range ws {
		if w := &ws[i]; w.Width != 0 && !w.unused(now) {
			if i != n {
				ws[n] = *w
			}
			n++
		}
	}
	for i := n; i < MaxWindows; i++ {
		ws[i] = Window{}
	}
	if n == 1 {
		ws[0].Used = 0
	}
}

const (
	minute     = int64(60e9)
	minutes    = 255 // that can be told apart
	unusedTime = 15  // minutes
)

// stamp is the minute of this time, modulo 255, plus 1.
func stamp(now int64) uint8 { return uint8(now/minute%minutes + 1) }

// age is the minutes since a plugin with this length counted a call.
func (w *Window) age(now int64) int64 {
	if w.Used == 0 {
		return 0
	}
	return (int64(stamp(now)) - int64(w.Used) + minutes) % minutes
}

// unused reports whether no plugin with this length counted a call for a quarter of an hour and for its length. A clock
// that is a little behind another worker's makes the age a large one, hence the upper bound.
func (w *Window) unused(now int64) bool {
	age := w.age(now)
	return age > max(unusedTime, tenths*w.Width/minute+1) && age < minutes-unusedTime
}
