package fallback

import (
	"strings"
	"testing"
)

func TestConfirms(t *testing.T) {
	for _, tc := range []struct {
		notModified, stored pairs
		want                bool
	}{
		{pairs{{"etag", `"1"`}}, pairs{{"etag", `"1"`}}, true},
		{pairs{{"etag", `W/"1"`}}, pairs{{"etag", `"1"`}}, true},
		{pairs{{"etag", `W/"1"`}}, pairs{{"etag", `W/"1"`}}, true},
		{pairs{{"etag", `"1"`}}, pairs{{"etag", `W/"1"`}}, false},
		{pairs{{"etag", `"1"`}, {"last-modified", "x"}}, pairs{{"etag", `W/"1"`}, {"last-modified", "x"}}, false},
		{pairs{{"etag", `"1"`}, {"last-modified", "x"}}, pairs{{"etag", `"1"`}, {"last-modified", "y"}}, true},
		{pairs{{"etag", `"2"`}}, pairs{{"etag", `"1"`}}, false},
		{pairs{{"etag", `"2"`}, {"last-modified", "x"}}, pairs{{"etag", `"1"`}, {"last-modified", "x"}}, false},
		{pairs{{"etag", `1`}}, pairs{{"etag", `1`}}, false},
		{pairs{{"etag", `"1"`}}, pairs{}, false},
		{pairs{{"last-modified", "x"}}, pairs{{"last-modified", "x"}}, true},
		{pairs{{"last-modified", "x"}}, pairs{{"last-modified", "y"}}, false},
		{pairs{}, pairs{{"etag", `"1"`}}, false},
		{pairs{}, pairs{}, false},
	} {
		if got := Confirms(tc.notModified, tc.stored); got != tc.want {
			t.Errorf("Confirms(%v, %v) = %v, want %v", tc.notModified, tc.stored, got, tc.want)
		}
	}
}

func TestSameValidators(t *testing.T) {
	for _, tc := range []struct {
		head, stored pairs
		want         bool
	}{
		{pairs{}, pairs{}, true},
		{pairs{}, pairs{{"etag", `"1"`}, {"last-modified", "x"}}, true},
		{pairs{{"etag", `"1"`}}, pairs{}, true},
		{pairs{{"etag", `"1"`}}, pairs{{"etag", `"1"`}}, true},
		{pairs{{"etag", `"2"`}}, pairs{{"etag", `"1"`}}, false},
		{pairs{{"last-modified", "x"}}, pairs{{"last-modified", "x"}}, true},
		{pairs{{"etag", `"1"`}, {"last-modified", "x"}}, pairs{{"etag", `"1"`}, {"last-modified", "y"}}, false},
	} {
		if got := SameValidators(tc.head, tc.stored); got != tc.want {
			t.Errorf("SameValidators(%v, %v) = %v, want %v", tc.head, tc.stored, got, tc.want)
		}
	}
}

func TestUpdated(t *testing.T) {
	stored := pairs{{"content-type", "text/plain"}, {"date", "then"}, {"etag", `"1"`}, {"x-old", "1"}, {"x-both", "1"}, {"expires", "e"}}
	newer := pairs{{":status", "304"}, {"content-length", "0"}, {"content-type", "x/y"}, {"etag", `"1"`}, {"x-both", "2"}, {"x-both", "3"}, {"date", "now"}}
	var got []string
	Updated(newer, stored).All(func(name, value string) bool {
		got = append(got, name+"="+value)
		return true
	})
	want := `etag="1" x-both=2 x-both=3 date=now content-type=text/plain x-old=1 expires=e`
	if text := strings.Join(got, " "); text != want {
		t.Errorf("got %s, want %s", text, want)
	}
}
