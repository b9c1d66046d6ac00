package fallback

import "testing"

func TestNamesAreListedByLength(t *testing.T) {
	for what, set := range map[string]*names{
		"harmless": &harmless, "rerouting": &rerouting, "inEveryKey": &inEveryKey, "credentials": &credentials, "secretWords": &secretWords,
	} {
		seen := map[string]bool{}
		for length, list := range set {
			for _, name := range list {
				if len(name) != length {
					t.Errorf("%s: %q is listed as of %d bytes, want %d", what, name, length, len(name))
				}
				if seen[name] {
					t.Errorf("%s: %q is listed twice", what, name)
				}
				seen[name] = true
				if !set.has(name) || set.has(name+"x") {
					t.Errorf("%s: got has(%q) %v, has(%q) %v, want true and false", what, name, set.has(name), name+"x", set.has(name+"x"))
				}
			}
		}
		if len(seen) == 0 {
			t.Errorf("%s is empty", what)
		}
	}
}
