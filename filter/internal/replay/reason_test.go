package replay

import "testing"

// TestReasons: each reason has a text for a log line, and a label of a closed set.
func TestReasons(t *testing.T) {
	for r := Connect; r < Reasons; r++ {
		if r.String() == "" || r.String() == "unknown" || r.Label() == "" || r.Label() == "unknown" || r.Advice() == "" {
			t.Errorf("reason %d: got text %q and label %q, want both", r, r.String(), r.Label())
		}
	}
	if got := Reasons.Label(); got != "unknown" || None.Label() != "" || None.String() != "" {
		t.Errorf("got %q for a number that is no reason, and %q and %q for none; want unknown and nothing", got, None.Label(), None.String())
	}
}
