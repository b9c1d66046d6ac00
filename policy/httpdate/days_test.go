package httpdate

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestDays: the calendar is that of package time.
func TestDays(t *testing.T) {
	first := time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC)
	for day := range 1_000_000 { // until 2737
		date := first.AddDate(0, 0, day)
		if got, want := daysTo(date.Year(), int(date.Month()), date.Day()), int(date.Unix()/secondsADay); got != want {
			t.Fatalf("%v: got %d, want %d days", date.Format(time.DateOnly), got, want)
		}
	}
}

// TestDates: package time reads a date that it wrote as the same one, in each form.
func TestDates(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := rapid.Int64Range(0, 4e9).Draw(t, "now")
		want := now + rapid.Int64Range(-49*365*secondsADay, 49*365*secondsADay).Draw(t, "difference")
		at := time.Unix(want, 0).UTC()
		for _, form := range []string{"Mon, 02 Jan 2006 15:04:05 GMT", "Monday, 02-Jan-06 15:04:05 GMT", time.ANSIC} {
			if got, ok := Parse(at.Format(form), now); got != want || !ok {
				t.Errorf("%s at %d: got %d %v, want %d", at.Format(form), now, got, ok, want)
			}
		}
	})
}
