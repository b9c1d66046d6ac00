package httpdate

import (
	"strings"
	"testing"
	"time"
)

// TestParse: what the grammar of RFC 9110, section 5.6.7 has, and what it has not. Those of http-tests/cache-tests are among them.
func TestParse(t *testing.T) {
	const (
		at  = 784111777 // RFC 9110, section 5.6.7
		in  = 2544400878
		now = 1795857600 // 2026-11-28
	)
	for _, tc := range []struct {
		text string
		want int64
		ok   bool
	}{
		{"Sun, 06 Nov 1994 08:49:37 GMT", at, true},
		{"Sunday, 06-Nov-94 08:49:37 GMT", at, true},
		{"Sun Nov  6 08:49:37 1994", at, true},
		{"Sun Nov 06 08:49:37 1994", at, true},
		{"Mon, 06 Nov 1994 08:49:37 GMT", at, true}, // which was a Sunday
		{"Thu, 01 Jan 1970 00:00:00 GMT", 0, true},
		{"Mon, 01 Jan 0001 00:00:00 GMT", -62135596800, true},
		{"Tue, 19 Jan 2038 14:14:08 GMT", 2147523248, true},
		{"Sun, 21 Nov 2286 04:46:39 GMT", 10000039599, true},
		{"Sat, 31 Dec 2016 23:59:60 GMT", 1483228799, true},
		{"Thu, 29 Feb 2024 00:00:00 GMT", 1709164800, true},

		// In any case.
		{"THU, 18 Aug 2050 02:01:18 GMT", in, true},
		{"Thu, 18 AUG 2050 02:01:18 GMT", in, true},
		{"Thu, 18 Aug 2050 02:01:18 gMT", in, true},
		{"thursday, 18-aug-50 02:01:18 gmt", in, true},
		{"THU AUG 18 02:01:18 2050", in, true},

		// Other zones.
		{"Sun, 06 Nov 1994 08:49:37 CET", 0, false},
		{"Thu, 18 Aug 2050 02:01:18 UTC", 0, false},
		{"Thu, 18 Aug 2050 02:01:18 AEST", 0, false},
		{"Thu, 18 Aug 2050 02:01:18 +0000", 0, false},
		{"Thu, 18 Aug 2050 02:01:18", 0, false},
		{"Thursday, 18-Aug-50 02:01:18 UTC", 0, false},
		{"Sun Nov  6 08:49:37 1994 GMT", 0, false},

		// No such time.
		{"Sun, 31 Feb 1994 08:49:37 GMT", 0, false},
		{"Sunday, 31-Feb-94 08:49:37 GMT", 0, false},
		{"Sun Feb 31 08:49:37 1994", 0, false},
		{"Wed, 29 Feb 2023 00:00:00 GMT", 0, false},
		{"Sun, 00 Nov 1994 08:49:37 GMT", 0, false},
		{"Sun Nov  0 08:49:37 1994", 0, false},
		{"Sun, 06 Nov 1994 24:00:00 GMT", 0, false},
		{"Sun, 06 Nov 1994 08:60:37 GMT", 0, false},
		{"Sun, 06 Nov 1994 08:49:60 GMT", 0, false},
		{"Sat, 31 Dec 2016 23:59:61 GMT", 0, false},
		{"Sun, 06 Foo 1994 08:49:37 GMT", 0, false},
		{"Sun, 06 an  1994 08:49:37 GMT", 0, false},
		{"Son, 06 Nov 1994 08:49:37 GMT", 0, false},
		{"Sund, 06 Nov 1994 08:49:37 GMT", 0, false},

		// Another number of digits.
		{"Thu, 18 Aug 50 02:01:18 GMT", 0, false},
		{"Thu, 18 Aug 02050 02:01:18 GMT", 0, false},
		{"Thu, 8 Aug 2050 02:01:18 GMT", 0, false},
		{"Thu,  8 Aug 2050 02:01:18 GMT", 0, false},
		{"Thu, 18 Aug 2050 2:01:18 GMT", 0, false},
		{"Thu, 18 Aug 2050  2:01:18 GMT", 0, false},
		{"Thu, 18 Aug 2050 02:1:18 GMT", 0, false},
		{"Thu, 18 Aug 2050 02:01:8 GMT", 0, false},
		{"Thu, 18 Aug 2050 02:01 GMT", 0, false},
		{"Thu, 18 Aug 2050 02:01:18.5 GMT", 0, false},
		{"Thu, +8 Aug 2050 02:01:18 GMT", 0, false},
		{"Thu, 18 Aug -050 02:01:18 GMT", 0, false},
		{"Thu, 18 August 2050 02:01:18 GMT", 0, false},
		{"Thursday, 8-Aug-50 02:01:18 GMT", 0, false},
		{"Thursday, 18-Aug-50 2:01:18 GMT", 0, false},
		{"Sun Nov 6 08:49:37 1994", 0, false},
		{"Sun Nov  6 8:49:37 1994", 0, false},
		{"Sun Nov  6 08:49:37 94", 0, false},
		{"Sun Nov  06 08:49:37 1994", 0, false},

		// Other separators.
		{"Thu, 18  Aug  2050 02:01:18 GMT", 0, false},
		{"Thu,  18 Aug 2050 02:01:18 GMT", 0, false},
		{"Thu, 18 Aug 2050  02:01:18 GMT", 0, false},
		{"Thu, 18 Aug 2050 02:01:18  GMT", 0, false},
		{"Thu,18 Aug 2050 02:01:18 GMT", 0, false},
		{"Thu 18 Aug 2050 02:01:18 GMT", 0, false},
		{"Thu , 18 Aug 2050 02:01:18 GMT", 0, false},
		{"Thu, 18-Aug-2050 02:01:18 GMT", 0, false},
		{"Thu, 18 Aug 2050 02.01.18 GMT", 0, false},
		{"Thu, 18\tAug 2050 02:01:18 GMT", 0, false},
		{"Thursday, 18 Aug 50 02:01:18 GMT", 0, false},
		{"Thursday,  18-Aug-50 02:01:18 GMT", 0, false},
		{"Thursday, 18-Aug-50  02:01:18 GMT", 0, false},
		{"Thursday, 18-Aug-2050 02:01:18 GMT", 0, false},
		{"Thursday, 18 Aug 2050 02:01:18 GMT", 0, false},
		{"Thu, 18-Aug-50 02:01:18 GMT", 0, false},
		{"Thursday 18-Aug-50 02:01:18 GMT", 0, false},
		{"Thursday Aug 18 02:01:18 2050", 0, false},
		{"Sun  Nov  6 08:49:37 1994", 0, false},
		{"Sun Nov   6 08:49:37 1994", 0, false},
		{"Sun Nov  6  08:49:37 1994", 0, false},
		{"Sun, Nov  6 08:49:37 1994", 0, false},

		// Around it, or something else.
		{" Sun, 06 Nov 1994 08:49:37 GMT", 0, false},
		{"Sun, 06 Nov 1994 08:49:37 GMT ", 0, false},
		{"Thu, 18 Aug 2050 2:01:18 GMT,Thu, 18 Aug 2050 2:01:19 GMT", 0, false},
		{"Sun, 06 Nov 1994 08:49:37 GMT, Sun, 06 Nov 1994 08:49:37 GMT", 0, false},
		{"784111777", 0, false},
		{"0", 0, false},
		{"-1", 0, false},
		{",", 0, false},
		{" ", 0, false},
		{"Sun", 0, false},
		{"Sun,", 0, false},
		{"Sun ", 0, false},
		{"Sunday,", 0, false},
		{"", 0, false},
	} {
		if got, ok := Parse(tc.text, now); ok != tc.ok || ok && got != tc.want {
			t.Errorf("Parse(%q) = %d, %v, want %d, %v", tc.text, got, ok, tc.want, tc.ok)
		}
	}
}

// TestCentury: a year of two digits that seems to be more than 50 years in the future is in the past.
func TestCentury(t *testing.T) {
	for _, tc := range []struct {
		now, text, want string
	}{
		{"2026-11-28", "Sunday, 06-Nov-94 08:49:37 GMT", "1994-11-06"},
		{"2026-11-28", "Thursday, 18-Aug-50 02:01:18 GMT", "2050-08-18"},
		{"2026-11-28", "Saturday, 28-Nov-76 00:00:00 GMT", "2076-11-28"},
		{"2026-11-28", "Monday, 29-Nov-76 00:00:00 GMT", "1976-11-29"},
		{"2026-11-28", "Friday, 01-Jan-77 00:00:00 GMT", "1977-01-01"},
		{"2026-11-28", "Tuesday, 29-Feb-00 00:00:00 GMT", "2000-02-29"},
		{"1999-12-31", "Saturday, 01-Jan-00 00:00:00 GMT", "2000-01-01"},
		{"2060-06-01", "Saturday, 01-Jan-00 00:00:00 GMT", "2100-01-01"},
		{"2060-06-01", "Saturday, 01-Jan-11 00:00:00 GMT", "2011-01-01"},
	} {
		now, err := time.Parse(time.DateOnly, tc.now)
		if err != nil {
			t.Fatal(err)
		}
		at, ok := Parse(tc.text, now.Unix())
		if got := time.Unix(at, 0).UTC().Format(time.DateOnly); !ok || got != tc.want {
			t.Errorf("Parse(%q) on %s = %s, %v, want %s", tc.text, tc.now, got, ok, tc.want)
		}
	}
}

// FuzzParse: what is accepted is read as time.Parse does, which accepts more.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994", "THU, 18 aUG 2050 02:01:18 gMT"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		const now = 784111777 // so that two digits are of the years that time.Parse takes, but 44 to 68
		at, ok := Parse(s, now)
		if !ok {
			return
		}
		s = strings.Replace(s, ":60", ":59", 1) // a leap second
		upper := s[:len(s)-3] + "GMT"
		for _, form := range [...]string{time.RFC1123, time.RFC850, time.ANSIC} {
			if form == time.ANSIC {
				upper = s
			}
			if want, err := time.ParseInLocation(form, upper, time.UTC); err == nil && (want.Unix()-at)%(36525*86400) == 0 {
				return
			}
		}
		t.Errorf("Parse(%q) = %d: got a time that time.Parse does not read", s, at)
	})
}
