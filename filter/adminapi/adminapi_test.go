package adminapi

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestTime(t *testing.T) {
	for _, tc := range []struct{ read, want string }{
		{`"2026-01-02T03:04:05.006Z"`, `"2026-01-02T03:04:05.006Z"`},
		{`"2023-11-14T22:13:20Z"`, `"2023-11-14T22:13:20.000Z"`},
		{`"2026-01-02T03:04:05.9999+01:30"`, `"2026-01-02T01:34:05.999Z"`},
		{`"0001-01-01T00:00:00Z"`, `"0001-01-01T00:00:00.000Z"`},
		{`"9999-12-31T23:59:59Z"`, `"9999-12-31T23:59:59.000Z"`},
	} {
		var at Time
		if err := json.Unmarshal([]byte(tc.read), &at); err != nil {
			t.Fatal(err)
		}
		if got, err := json.Marshal(at); err != nil || string(got) != tc.want {
			t.Errorf("%s: got %s, %v, want %s", tc.read, got, err, tc.want)
		}
	}
	for _, bad := range []string{`"yesterday"`, `5`, `""`} {
		var at Time
		if err := json.Unmarshal([]byte(bad), &at); err == nil {
			t.Errorf("%s: got %v, want an error", bad, at.Time())
		}
	}
	if got, want := Time(1_700_000_000_123).Time(), time.Date(2023, 11, 14, 22, 13, 20, 123e6, time.UTC); !got.Equal(want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestStatusOfOtherVersions: fields that are missing, unknown or null are no error, nor are numbers of another form.
func TestStatusOfOtherVersions(t *testing.T) {
	at, half := Time(1_764_000_000_000), 0.5
	for _, tc := range []struct {
		name, json string
		want       Status
	}{
		{"nothing", `{}`, Status{}},
		{
			"unknown fields", `{"more": [1], "clusters": {"a": {"mode": "off", "more": {}}}}`,
			Status{Clusters: map[string]Cluster{"a": {Mode: "off"}}},
		},
		{"null", `{"clusters": {"a": null, "b": {"circuit_breaker": {"since": null, "cause": null}}}, "redis": null}`, Status{
			Clusters: map[string]Cluster{"a": {}, "b": {Breaker: &Breaker{}}},
		}},
		{"numbers", `{"time": "2025-11-24T16:00:00Z", "version": "9.0.0", "clusters": {"a": {"circuit_breaker": {"opens_total": 1e3},
			"rate_limit": {"remaining": 0.5}, "answers": {"upstream": 1, "cache": 2}}}}`, Status{
			Time: at, Version: "9.0.0", Clusters: map[string]Cluster{"a": {
				Breaker: &Breaker{OpensTotal: 1000}, RateLimit: &RateLimit{Remaining: &half}, Answers: &Answers{
					Upstream: 1,
					Fallback: Fallback{Cache: 2},
				},
			}},
		}},
	} {
		var got Status
		if err := json.Unmarshal([]byte(tc.json), &got); err != nil {
			t.Errorf("%s: got error %v, want none", tc.name, err)
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s: got (+), want (-):\n%s", tc.name, diff)
		}
	}
}
