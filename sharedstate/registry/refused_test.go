package registry_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-mesh/weir/sharedstate"
	"github.com/weir-mesh/weir/sharedstate/registry"
)

func TestRefused(t *testing.T) {
	store := sharedstate.NewMemory()
	long := []string{"first\nline", strings.Repeat("x", 5000), "third"}
	for _, step := range []struct{ publish, want registry.Refused }{
		{registry.Refused{}, registry.Refused{}},
		{registry.Refused{At: 5, Reasons: []string{"a: b", "c: d"}}, registry.Refused{At: 5, Reasons: []string{"a: b", "c: d"}}},
		{registry.Refused{At: 7, Reasons: []string{"e"}}, registry.Refused{At: 7, Reasons: []string{"e"}}},
		{registry.Refused{}, registry.Refused{}},
		{registry.Refused{At: 9, Reasons: long}, registry.Refused{At: 9, Reasons: []string{"first line", "there are more: see Envoy's log"}}},
	} {
		if err := registry.PublishRefused(store, step.publish); err != nil {
			t.Fatal(err)
		}
		got, err := registry.ReadRefused(store)
		if diff := cmp.Diff(step.want, got); err != nil || diff != "" {
			t.Errorf("PublishRefused(%+v): then read (-want +got, %v): %s", step.publish, err, diff)
		}
	}
}
