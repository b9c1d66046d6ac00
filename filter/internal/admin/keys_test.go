package admin

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-mesh/weir/filter/adminapi"
	"github.com/weir-mesh/weir/sharedstate/registry"
)

// TestStatusShowsRefusedKeys: as the policy in force has it, whatever an earlier one had stored.
func TestStatusShowsRefusedKeys(t *testing.T) {
	f := newFixture(t, `{"clusters": {
		"hash":  {"rate_limit": {"key": ["path"]}},
		"plain": {"rate_limit": {"key": ["path"], "show_keys": "plain"}},
		"off":   {"rate_limit": {"key": ["path"], "show_keys": false}},
		"whole": {"rate_limit": {}},
		"none":  {"rate_limit": {"key": ["path"]}}}}`)
	for _, cluster := range []string{"hash", "plain", "off", "whole"} {
		more := registry.RefusedKeys{Since: f.now.Monotonic - 60*second, Last: f.now.Monotonic - second, Total: 4}
		for range 3 {
			more.Keys.Add(0xabc, "path=/secret")
		}
		more.Keys.Add(1, "(none)")
		if err := registry.NoteRefusedKeys(f.store, cluster, &more); err != nil {
			t.Fatal(err)
		}
	}
	at := func(ago int64) adminapi.Time { return adminapi.Time((f.now.Wall - ago*second) / 1e6) }
	shown := func(text string) *adminapi.RefusedKeys {
		return &adminapi.RefusedKeys{Since: at(60), Last: at(1), Total: 4, Keys: []adminapi.RefusedKey{
			{Key: "0000000000000abc", Text: text, AtLeast: 3, AtMost: 3}, {Key: "0000000000000001", Text: "(none)", AtLeast: 1, AtMost: 1},
		}}
	}
	clusters := get[adminapi.Status](f, "/status").Clusters
	for cluster, want := range map[string]*adminapi.RefusedKeys{"hash": shown(""), "plain": shown("path=/secret"), "off": nil, "whole": nil, "none": nil} {
		if diff := cmp.Diff(want, clusters[cluster].RateLimit.RefusedKeys); diff != "" {
			t.Errorf("%s: refused_keys (-want +got): %s", cluster, diff)
		}
	}
	f.request("POST", "/reset/hash")
	if got := get[adminapi.Cluster](f, "/status/hash").RateLimit.RefusedKeys; got != nil {
		t.Errorf("after a reset: got %+v, want none", got)
	}
}
