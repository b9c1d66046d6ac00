package header

import "testing"

func TestIsOwn(t *testing.T) {
	for name, want := range map[string]bool{
		"x-weir-cluster": true, "x_weir_cluster": true, "x-weir_cluster": true, "x_weir-source": true, "x-weir-": true,
		"x-weird": false, "x-weir": false, "x.weir-cluster": false, "": false,
	} {
		if got := IsOwn(name); got != want {
			t.Errorf("IsOwn(%q) = %v, want %v", name, got, want)
		}
	}
}

func TestAlike(t *testing.T) {
	for _, tc := range []struct {
		a, b string
		want bool
	}{
		{"x-region", "x_region", true},
		{"x_region-a", "x-region_a", true},
		{"x-region", "x-region-a", false},
		{"x-region", "xaregion", false},
	} {
		if got := Alike(tc.a, tc.b); got != tc.want {
			t.Errorf("Alike(%q, %q) = %v, want %v", tc.a, tc.b, got, tc.want)
		}
	}
}
