package retry

import (
	"testing"

	"github.com/weir-mesh/weir/policy/statuses"
)

func TestConditions(t *testing.T) {
	none := &Conditions{}
	some := &Conditions{Methods: []string{"GET", "PUT"}, On: On{Reset: true, Timeout: true}}
	some.On.Statuses.AddClass(5)
	some.On.GRPC[14] = true
	all := &Conditions{On: On{Reset: true, ConnectFailure: true, Timeout: true}}
	for code := range statuses.Max + 1 {
		all.On.Statuses.Add(code)
	}
	for i := range all.On.GRPC {
		all.On.GRPC[i] = true
	}
	for _, tc := range []struct {
		name string
		Outcome
		some, all bool
	}{
		{"200", Outcome{Answered, 200, -1}, false, true},
		{"499", Outcome{Answered, 499, -1}, false, true},
		{"500", Outcome{Answered, 500, -1}, true, true},
		{"599", Outcome{Answered, 599, -1}, true, true},
		{"no status", Outcome{Answered, 0, -1}, false, true},
		{"a status that is none", Outcome{Answered, 600, -1}, false, false},
		{"a negative status", Outcome{Answered, -1, -1}, false, false},
		{"grpc unavailable", Outcome{Answered, 200, 14}, true, true},
		{"grpc not found", Outcome{Answered, 200, 5}, false, true},
		{"a gRPC status that is none", Outcome{Answered, 600, 17}, false, false},
		{"reset", Outcome{Reset, 0, -1}, true, true},
		{"a reset in an answer", Outcome{Reset, 200, -1}, true, true},
		{"connect failure", Outcome{ConnectFailure, 503, -1}, false, true},
		{"timeout", Outcome{Timeout, 0, -1}, true, true},
		{"upstream had no part in it", Outcome{Other, 503, 14}, false, false},
		{"an event that is none", Outcome{Event(99), 503, 14}, false, false},
	} {
		for _, who := range []struct {
			name string
			c    *Conditions
			want bool
		}{{"none", none, false}, {"some", some, tc.some}, {"all", all, tc.all}} {
			if got := who.c.Retryable(tc.Outcome); got != who.want {
				t.Errorf("%s, of %s: got %v, want %v", tc.name, who.name, got, !got)
			}
		}
	}
	for method, want := range map[string]bool{"GET": true, "PUT": true, "POST": false, "get": false, "": false} {
		if got := some.Method(method); got != want {
			t.Errorf("Method(%q) = %v, want %v", method, got, !got)
		}
	}
}
