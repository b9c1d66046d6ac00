// Package httpdate reads the dates of HTTP, without the size of net/http.
package httpdate

import "time"

// The forms of an HTTP-date (RFC 9110, section 5.6.7). IMF-fixdate is what is sent; the others are obsolete, and still to
// be read.
var forms = [...]string{"Mon, 02 Jan 2006 15:04:05 GMT", "Monday, 02-Jan-06 15:04:05 GMT", time.ANSIC}

// Parse reads an HTTP-date, without white space around it, as seconds since 1970.
func Parse(s string) (at int64, ok bool) {
	if len(s) < 24 || len(s) > 33 { // of the shortest and the longest form
		return 0, false
	}
	for _, form := range forms {
		if t, err := time.Parse(form, s); err == nil {
			return t.Unix(), true
		}
	}
	return 0, false
}
