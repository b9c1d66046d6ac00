package command

import (
	"encoding/json"
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// fleet runs a command line with three Envoys for A, B and C, of which C does not answer.
func fleet(t *testing.T, line string) result {
	t.Helper()
	const all = `{"time":"2026-11-24T10:00:05Z","version":"0.2.0","policies":[{"version":7,"since":"2026-11-24T09:00:00Z"}],` +
		`"policy_refused":{"at":"2026-11-24T09:30:00Z","reasons":["clusters.a.mode: unknown value"]},` +
		`"policy_missing":{"cluster":"azure","policy":"gold","total":2},"clusters":{"azure":` + azure + `},` +
		`"redis":{"state":"trouble","last_error":{"name":"MISCONF","message":"no disk"}}}`
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = closed.Close()
	words := []string{"A", host(t, listener), "B", host(t, respond(200, "application/json", all)), "C", closed.Addr().String()}
	var back []string
	for i := 0; i < len(words); i += 2 {
		back = append(back, "http://"+words[i+1], words[i], words[i+1], words[i])
	}
	args := strings.Fields(line)
	for i, arg := range args {
		for j := 0; j < len(words); j += 2 {
			if arg == words[j] {
				args[i] = words[j+1]
			}
		}
	}
	got := run(t, "", args...)
	restore := strings.NewReplacer(back...)
	pad := strings.Repeat(" ", len(words[1])-1) // the column is as wide as an address
	got.out, got.err = strings.ReplaceAll(restore.Replace(got.out), pad, "~"), restore.Replace(got.err)
	return got
}

const azure = `{"mode":"enforce","rate_limit":{"algorithm":"adaptive","scope":"proxy","requests_per_minute":50,` +
	`"configured_requests_per_minute":100,"remaining":0,"success_rate":0.5,"limited_total":3}}`

const noConnection = "weir: C: no connection: connect: connection refused; check that Envoy runs with Weir's admin listener: its address is what `weir render envoy --weir-admin` was given\n"

// TestFleet: several Envoys are one table; one that does not answer, or is in trouble as a whole, is said above it.
func TestFleet(t *testing.T) {
	for line, want := range map[string]result{
		"status A B": {StatusOK, `2 Envoys at 2026-11-24T10:00:05Z: 3 clusters, 1 half-open, 1 limited, 1 ok
Policy 7 in force
B: a policy was refused at 2026-11-24T09:30:00Z, and the one before stays in force: clusters.a.mode: unknown value; Redis: trouble, MISCONF: no disk; 2 requests to azure got the cluster's own policy, since the policy gold that their route or the cluster names is not there

STATE      ENVOY            CLUSTER      LIMIT  LEFT  ALLOWED  NOT ADMITTED  WHY
half-open  A  aws_pricing                       140       31  probing: 1 of 3 successes that close it
limited    B  azure           50 of 100/min     0                    the limit of 50/min is used up; 3 not admitted so far
ok         A  azure
`, ""},
		"status A B C azure --fail-on limited": {StatusFailed, `3 Envoys at 2026-11-24T10:00:05Z: 2 clusters, 1 limited, 1 ok
Policy 7 in force
B: a policy was refused at 2026-11-24T09:30:00Z, and the one before stays in force: clusters.a.mode: unknown value; Redis: trouble, MISCONF: no disk; 2 requests to azure got the cluster's own policy, since the policy gold that their route or the cluster names is not there
C: no connection: connect: connection refused; check that Envoy runs with Weir's admin listener: its address is what ` + "`weir render envoy --weir-admin`" + ` was given

STATE    ENVOY            CLUSTER  LIMIT  LEFT  WHY
limited  B  azure       50 of 100/min     0  the limit of 50/min is used up; 3 not admitted so far
ok       A  azure
`, "weir: azure is limited at B\n" + noConnection},
		"status A B --fail-on open": {StatusOK, "", ""},
		"status A B nobody":         {StatusFailed, "", "weir: no cluster nobody at any of the 2 URLs\n"},
		"reset A C aws_pricing":     {StatusFailed, "aws_pricing at A is reset: its circuit breaker is closed, its limit is unused, its counts are zero\n", noConnection},
		"breaker open --json A A aws_pricing": {
			StatusOK, strings.Repeat(indented(t, `{"cluster":"aws_pricing","done":"open"}`), 2), "",
		},
	} {
		t.Run(line, func(t *testing.T) {
			got := fleet(t, line)
			if line == "status A B --fail-on open" {
				got.out = ""
			}
			squeeze := func(s string) string { return strings.Join(strings.Fields(strings.ReplaceAll(s, "~", " ")), " ") }
			got.out, want.out = squeeze(got.out), squeeze(want.out)
			if diff := cmp.Diff(want, got, cmp.AllowUnexported(result{})); diff != "" {
				t.Errorf("got (+), want (-):\n%s", diff)
			}
		})
	}
}

// TestFlat: --format flat has the names of the Python library, and null for what the policy does not have.
func TestFlat(t *testing.T) {
	const none = `"algorithm":null,"requests_per_minute":null,"configured_requests_per_minute":null,"remaining":null,"success_rate":null,"limited_total":null,"source":null`
	const aws = `{"mode":"enforce","state":"half_open","failure_count":0,"success_count":1,"failure_threshold":0,"recovery_timeout":0,"success_threshold":3,"opened_at":null,"retry_after":0,` + none + `}`
	const off = `{"mode":"enforce","state":null,"failure_count":null,"success_count":null,"failure_threshold":null,"recovery_timeout":null,"success_threshold":null,"opened_at":null,"retry_after":null,`
	const limit = `"algorithm":"adaptive","requests_per_minute":50,"configured_requests_per_minute":100,"remaining":0,"success_rate":0.5,"limited_total":3,"source":null}`
	for line, want := range map[string]string{
		"status --format flat A aws_pricing": aws,
		"status --format flat A":             `{"aws_pricing":` + aws + `,"azure":` + off + none + `}}`,
		"status --format flat B azure A":     "",
		"status --json A B azure":            `{"A":{"azure":{"mode":"enforce"}},"B":{"azure":` + azure + `}}`,
		"status --format flat A B azure":     `{"A":{"azure":` + off + none + `}},"B":{"azure":` + off + limit + `}}`,
	} {
		got := fleet(t, line)
		if want == "" {
			if got.status != StatusUsage {
				t.Errorf("%s: got %+v, want an error of usage", line, got)
			}
			continue
		}
		var gotJSON, wantJSON any
		if err := errors.Join(json.Unmarshal([]byte(got.out), &gotJSON), json.Unmarshal([]byte(want), &wantJSON)); err != nil || got.status != StatusOK || got.err != "" {
			t.Errorf("%s: got %+v and %v, want status 0 and JSON", line, got, err)
		}
		if diff := cmp.Diff(wantJSON, gotJSON); diff != "" {
			t.Errorf("%s: got (+), want (-):\n%s", line, diff)
		}
	}
}

func TestIsAddress(t *testing.T) {
	for arg, want := range map[string]bool{
		"127.0.0.1:9902": true, "http://weir/": true, "weir:9902/": true, "[::1]:9902": true,
		"aws_pricing": false, "outbound|80||prices.example": false, "a:b": false, "api.example": false, "a:99999": false,
	} {
		if got := isAddress(arg); got != want {
			t.Errorf("isAddress(%q) = %v, want %v", arg, got, want)
		}
	}
}
