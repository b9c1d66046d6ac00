package fallback

import "time"

// The forms of an HTTP-date (RFC 9110, section 5.6.7); the last two are obsolete, and still to be read.
var dateForms = [...]string{"Mon, 02 Jan 2006 15:04:05 GMT", "Monday, 02-Jan-06 15:04:05 GMT", time.ANSIC}

// readDate reads an HTTP-date as seconds since 1970.
func readDate(s string) (at int64, ok bool) {
	s = trim(s)
	if len(s) < 24 || len(s) > 33 { // of the shortest and the longest form
		return 0, false
	}
	for _, form := range dateForms {
		if t, err := time.Parse(form, s); err == nil {
			return t.Unix(), true
		}
	}
	return 0, false
}
