package httpdate

import "testing"

func TestParse(t *testing.T) {
	const at = 784111777 // RFC 9110, section 5.6.7
	for _, tc := range []struct {
		text string
		want int64
		ok   bool
	}{
		{"Sun, 06 Nov 1994 08:49:37 GMT", at, true},
		{"Sunday, 06-Nov-94 08:49:37 GMT", at, true},
		{"Sun Nov  6 08:49:37 1994", at, true},
		{"Sun, 06 Nov 1994 08:49:37 CET", 0, false},
		{"Sun, 31 Feb 1994 08:49:37 GMT", 0, false},
		{" Sun, 06 Nov 1994 08:49:37 GMT", 0, false},
		{"784111777", 0, false},
		{"", 0, false},
	} {
		if got, ok := Parse(tc.text); got != tc.want || ok != tc.ok {
			t.Errorf("%q: %d %v, want %d %v", tc.text, got, ok, tc.want, tc.ok)
		}
	}
}
