package fixedpoint

import (
	"math"
	"testing"
)

func TestSteps(t *testing.T) {
	for _, row := range []struct{ ratio, factor, want float64 }{
		{0.5, 2, 0}, {1, 2, 0}, {1.5, 2, 1}, {2, 2, 1}, {2.1, 2, 2}, {4, 2, 2}, {10, 10, 1}, {10, 1.2, 13}, {10, 1.000001, 2302587}, {10, 100, 1},
	} {
		got := Steps(row.ratio, row.factor)
		if got != row.want {
			t.Errorf("Steps(%v, %v): got %v, want %v", row.ratio, row.factor, got, row.want)
		}
		if row.ratio > 1 && math.Abs(got-math.Ceil(math.Log(row.ratio)/math.Log(row.factor))) > 1 {
			t.Errorf("Steps(%v, %v): got %v, which is not log / log", row.ratio, row.factor, got)
		}
	}
}
