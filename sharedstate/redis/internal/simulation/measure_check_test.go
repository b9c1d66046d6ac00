package simulation

import "testing"

// TestChecksSeeOneTooMany: what counts the tokens too many would find one.
func TestChecksSeeOneTooMany(t *testing.T) {
	w := &worker{name: "w"}
	logOf := func(limits []grant, times ...int64) *log {
		l := &log{grants: limits}
		for _, at := range times {
			l.admissions = append(l.admissions, admission{at, w})
		}
		return l
	}
	two := []grant{{at: -5, limit: 2}, {at: 0, limit: 2}, {at: 95, limit: 2}, {at: 99, limit: 2}}
	for _, tc := range []struct {
		name string
		log  *log
		want int
	}{
		{"a full window", logOf(two, 0, 1), 0},
		{"a third, a window after the first", logOf(two, 0, 1, 100), 0},
		{"a third, a nanosecond earlier", logOf(two, 0, 1, 99), 1},
		{"a third and a fourth", logOf(two, 0, 1, 2, 3), 2},
		{"without a grant", logOf(nil, 0), 1},
		{"the limit fell, the first was granted before", logOf([]grant{{at: -20, limit: 3}, {at: 80, limit: 1}}, 0, 1, 85), 1},
		{"the limit fell within", logOf([]grant{{at: 0, limit: 3}, {at: 80, limit: 1}}, 0, 1, 85), 0},
	} {
		if got, _ := tc.log.tooManyInWindow(100, 5); got != tc.want {
			t.Errorf("%s: %d too many, want %d", tc.name, got, tc.want)
		}
	}
	for _, tc := range []struct {
		name  string
		times []int64
		want  int
	}{
		{"the burst", []int64{0, 0}, 0},
		{"one more", []int64{0, 0, 0}, 1},
		{"when the next has come", []int64{0, 0, second / 10}, 0},
		{"a thousandth of it earlier", []int64{0, 0, second/10 - second/10000}, 1},
	} {
		if got, _ := logOf(nil, tc.times...).tooManyInBucket(2, 10); got != tc.want {
			t.Errorf("bucket, %s: %d too many, want %d", tc.name, got, tc.want)
		}
	}
	for _, tc := range []struct {
		got  []int64
		jain float64
	}{{[]int64{3, 3, 3}, 1}, {[]int64{9, 0, 0}, 1. / 3}, {[]int64{0, 0}, 0}} {
		if jain, _, _ := fairness(tc.got); jain != tc.jain {
			t.Errorf("Jain's index of %v: %v, want %v", tc.got, jain, tc.jain)
		}
	}
}
