package plugin

import "testing"

// TestPlacesOfOtherVMs: workers of one process that do not share their records do not share gauges either.
func TestPlacesOfOtherVMs(t *testing.T) {
	for _, tc := range []struct{ vmID, want string }{
		{"weir", "weir_bulkhead_places_cluster_=aws;_worker_=weir/2/1;"},
		{"", "weir_bulkhead_places_cluster_=aws;_worker_=/2/1;"},
	} {
		if got := placesName("aws", tc.vmID, 1); got != tc.want {
			t.Errorf("vm_id %q: got %q, want %q", tc.vmID, got, tc.want)
		}
	}
}
