package observe

import (
	"errors"
	"testing"
)

func TestDefineNamesAMetricOnce(t *testing.T) {
	m := Metrics{failed: true} // nothing is logged: there is no host
	var known map[string]int
	asked, fails := 0, true
	ask := func(string) (int, error) {
		if asked++; fails {
			return 0, errors.New("host has no room")
		}
		return asked, nil
	}
	if got := define(&m, &known, "a", ask); got != 0 {
		t.Errorf("a definition that fails: got id %d, want 0", got)
	}
	fails = false
	for _, tc := range []struct {
		name string
		want int
	}{{"a", 2}, {"a", 2}, {"b", 3}, {"a", 2}} {
		if got := define(&m, &known, tc.name, ask); got != tc.want {
			t.Errorf("%s: got id %d, want %d", tc.name, got, tc.want)
		}
	}
}
