package fallback

import "testing"

func TestIsFallback(t *testing.T) {
	for source, want := range map[string]bool{
		"error": true, "cache": true, "stale_cache": true, "default": true, "degraded": true,
		"upstream": false, "": false, "Cache": false,
	} {
		if got := IsFallback(source); got != want {
			t.Errorf("IsFallback(%q) = %v, want %v", source, got, want)
		}
	}
}
