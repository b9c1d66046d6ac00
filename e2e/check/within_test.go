package check

import (
	"testing"
	"time"
)

func TestMostWithin(t *testing.T) {
	zero := time.Now()
	span := func(from, to int) Span {
		return Span{zero.Add(time.Duration(from)), zero.Add(time.Duration(to))}
	}
	for _, tc := range []struct {
		name  string
		spans []Span
		want  int
	}{
		{"none", nil, 0},
		{"one", []Span{span(0, 5)}, 1},
		{"longer than the window, so nobody knows when", []Span{span(0, 10)}, 0},
		{"two in one", []Span{span(0, 5), span(4, 9)}, 2},
		{"two that may be a window apart", []Span{span(0, 5), span(4, 10)}, 1},
		{"in any order", []Span{span(20, 25), span(0, 5), span(22, 23), span(21, 29), span(4, 9)}, 3},
	} {
		if got := MostWithin(tc.spans, 10); got != tc.want {
			t.Errorf("%s: %d, want %d", tc.name, got, tc.want)
		}
	}
}
