package replay

import (
	"fmt"
	"slices"
	"testing"
)

func TestWithoutAdded(t *testing.T) {
	headers := [][2]string{{"x-by", "upstream"}, {"via", "1.1 up,1.1 route"}, {"set-cookie", "a=1"}, {"x-by", "route"}, {"x-at", "12:00:01"}, {"etag", "1"}}
	for _, tc := range []struct {
		name  string
		added [][2]string
		other bool
		want  string
	}{
		{"nothing", nil, false, "[[x-by upstream] [via 1.1 up,1.1 route] [set-cookie a=1] [x-by route] [x-at 12:00:01] [etag 1]]"},
		{"appended", [][2]string{{"x-by", "route"}}, false, "[[x-by upstream] [via 1.1 up,1.1 route] [set-cookie a=1] [x-at 12:00:01] [etag 1]]"},
		{"appended to one line", [][2]string{{"via", "1.1 route"}}, false, "[[x-by upstream] [via 1.1 up] [set-cookie a=1] [x-by route] [x-at 12:00:01] [etag 1]]"},
		{"two of a name", [][2]string{{"x-by", "upstream"}, {"x-by", "route"}}, false, "[[via 1.1 up,1.1 route] [set-cookie a=1] [x-at 12:00:01] [etag 1]]"},
		{"another value by now", [][2]string{{"x-at", "12:00:00"}}, false, "[[x-by upstream] [via 1.1 up,1.1 route] [set-cookie a=1] [x-by route] [etag 1]]"},
		{"not there", [][2]string{{"x-other", "route"}}, false, "[[x-by upstream] [via 1.1 up,1.1 route] [set-cookie a=1] [x-by route] [x-at 12:00:01] [etag 1]]"},
		{"of another route", [][2]string{{"x-at", "12:00:00"}, {"x-by", "route"}, {"via", "1.1 route"}}, true, "[[x-by upstream] [via 1.1 up] [set-cookie a=1] [x-at 12:00:01] [etag 1]]"},
	} {
		before := slices.Clone(headers)
		if got := fmt.Sprint(WithoutAdded(headers, tc.added, !tc.other)); got != tc.want {
			t.Errorf("%s: WithoutAdded(%v) = %s, want %s", tc.name, tc.added, got, tc.want)
		}
		if !slices.Equal(headers, before) {
			t.Errorf("%s: the headers that were given have changed to %v", tc.name, headers)
		}
	}
}
