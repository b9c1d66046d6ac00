// Package httpdate parses the dates of HTTP headers, without the code size of net/http and of time.Parse.
package httpdate

import (
	"strings"

	"github.com/weir-mesh/weir/policy/ascii"
)

// The forms of an HTTP-date (RFC 9110, section 5.6.7) after the day's name. Senders use IMF-fixdate; the others are obsolete, but
// recipients must accept them. b is a letter of the month's name, e a digit or a space, d, y, h, m and s are digits.
const (
	imf     = ", dd bbb yyyy hh:mm:ss GMT" // Sun, 06 Nov 1994 08:49:37 GMT
	rfc850  = ", dd-bbb-yy hh:mm:ss GMT"   // Sunday, 06-Nov-94 08:49:37 GMT
	asctime = " bbb ed hh:mm:ss yyyy"      // Sun Nov  6 08:49:37 1994
)

var (
	days   = [...]string{"monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"}
	months = [...]string{"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"}
)

// Parse reads an HTTP-date, without white space around it, as seconds since 1970; so is now. It accepts what the RFC's grammar
// does, in any case (RFC 9111, section 4.2). So not several spaces, an hour of one digit, or another zone than GMT: an Expires
// that is wrong is past. The day's name need not be that of the date.
func Parse(s string, now int64) (at int64, ok bool) {
	end := max(ascii.IndexAny(s, ", "), 0)
	name, rest := s[:end], s[end:]
	for _, day := range days {
		switch {
		case isWord(name, day):
			return parse(rfc850, rest, now)
		case !isWord(name, day[:3]):
		case rest[0] == ',':
			return parse(imf, rest, now)
		default:
			return parse(asctime, rest, now)
		}
	}
	return 0, false
}

// isWord reports whether a text is a word of small letters, in any case.
func isWord(s, word string) bool {
	if len(s) != len(word) {
		return false
	}
	for i := range len(s) {
		if s[i]|0x20 != word[i] {
			return false
		}
	}
	return true
}

func parse(form, s string, now int64) (at int64, ok bool) {
	if len(s) != len(form) {
		return 0, false
	}
	var read [5]int // not pointers to variables, which TinyGo would allocate
	for i := range len(s) {
		field := 0
		switch want := form[i]; want {
		case 'b':
			continue
		case 'e':
			if s[i] == ' ' {
				continue
			}
		case 'd':
		case 'y':
			field = 1
		case 'h':
			field = 2
		case 'm':
			field = 3
		case 's':
			field = 4
		case 'G', 'M', 'T':
			if s[i]|0x20 != want|0x20 {
				return 0, false
			}
			continue
		default:
			if s[i] != want {
				return 0, false
			}
			continue
		}
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		read[field] = read[field]*10 + int(s[i]-'0')
	}
	day, year, hour, minute, second := read[0], read[1], read[2], read[3], read[4]
	if second == 60 && minute == 59 && hour == 23 { // a leap second, which Unix time does not have
		second = 59
	}
	month := monthAt(s[strings.IndexByte(form, 'b'):])
	if month == 0 || hour > 23 || minute > 59 || second > 59 {
		return 0, false
	}
	if form == rfc850 {
		year = century(year, month, day, now)
	}
	date := daysTo(year, month, day)
	at = int64(date)*secondsADay + int64(hour*3600+minute*60+second)
	return at, day > 0 && date < daysTo(year, month+1, 1) // 31 Feb is 3 Mar
}

// monthAt is the month whose name a text begins with, from 1; 0 if there is none.
func monthAt(s string) int {
	for i, name := range months {
		if isWord(s[:3], name) {
			return i + 1
		}
	}
	return 0
}

// century returns the latest year that ends with these two digits and in which the day is not more than 50 years from now.
func century(digits, month, day int, now int64) (year int) {
	const averageYear = 31_556_952 // seconds
	year = (int(now/averageYear)+1970+50)/100*100 + 100 + digits
	for int64(daysTo(year-50, month, day))*secondsADay > now {
		year -= 100
	}
	return year
}

const secondsADay = 24 * 60 * 60

// daysTo is the number of days from 1 January 1970 to a date of the Gregorian calendar. Package time does it by 6 KB of code more,
// for other zones.
func daysTo(year, month, day int) int {
	// Years begin in March, so that a leap day ends one, and 400 years before the year 0, so that none is negative.
	year, month = year+400, month-3
	if month < 0 {
		year, month = year-1, month+12
	}
	// From March on, five months have 153 days. 1 March of the year -400 is 865,565 days before 1970.
	return year*365 + year/4 - year/100 + year/400 + (153*month+2)/5 + day - 1 - 865565
}
