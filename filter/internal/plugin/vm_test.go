package plugin

import "testing"

// TestPlacesOfOtherVMs: workers of one process that do not share their records do not share gauges either.
func TestPlacesOfOtherVMs(t *testing.T) {
	one, other := placesName("aws", 1, [2]uint64{1, 2}), placesName("aws", 1, [2]uint64{3, 2})
	if one == other {
		t.Errorf("got the same gauge %q for both", one)
	}
}
