package status

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weir-mesh/weir/filter/adminapi"
)

func TestParseStates(t *testing.T) {
	for names, want := range map[string][]State{
		"open":                      {Open},
		"no-host,no host,half-open": {NoHost, NoHost, HalfOpen},
		"forced-open, off":          {ForcedOpen, Off},
	} {
		if got, err := ParseStates(strings.Split(names, ",")); err != nil || !slices.Equal(got, want) {
			t.Errorf("ParseStates(%q) = %v, %v, want %v", names, got, err, want)
		}
	}
	if _, err := ParseStates([]string{"opened"}); err == nil || !strings.Contains(err.Error(), `no state is called "opened": write open, forced-open, no-host`) {
		t.Errorf("got %v, want the names", err)
	}
}

func TestIn(t *testing.T) {
	clusters := map[string]adminapi.Cluster{
		"b": {Mode: "enforce", Breaker: &adminapi.Breaker{State: "open"}},
		"a": {Mode: "enforce", Breaker: &adminapi.Breaker{State: "open", Forced: "open"}},
		"c": {Mode: "enforce", Breaker: &adminapi.Breaker{State: "closed"}},
		"d": {Mode: "off"},
	}
	var recent Recent
	got := recent.In([]State{Open, ForcedOpen, Off}, "a", clusters, time.Now())
	if want := []string{"a is forced open", "b is open", "d is off"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
