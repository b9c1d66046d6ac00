package retries_test

import (
	"strings"
	"testing"
	"time"

	"github.com/weir-mesh/weir/filter/internal/retries"
	"github.com/weir-mesh/weir/policy"
)

// section reads a section retry.
func section(t *testing.T, text string) *policy.Retry {
	t.Helper()
	text = strings.ReplaceAll(text, `"driver":"filter"`, `"driver":"filter","via":"weir_attempts"`)
	d, err := policy.Decode([]byte(`{"clusters":{"aws":{"retry":`+text+`}}}`), func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	return d.For("aws").Retry
}

func TestForRouter(t *testing.T) {
	const timeout = int64(4 * time.Second)
	for _, tc := range []struct {
		name, section string
		timeout       int64 // the breaker's; the router is told about it
		n             int
		want          string
	}{
		{"no retry", `{}`, 0, 0, "max-retries: 0"},
		{"two retries", `{}`, 0, 2, "max-retries: 2 | retry-on: 5xx"},
		{
			"statuses", `{"retry_on":["503",429]}`, 0, 1,
			"max-retries: 1 | retry-on: retriable-status-codes | retriable-status-codes: 429,503",
		},
		{"reset", `{"retry_on":["reset"]}`, 0, 1, "max-retries: 1 | retry-on: reset"},
		{"timeout", `{"retry_on":["timeout"]}`, 0, 1, "max-retries: 1 | retry-on: reset"},
		{"connect_failure", `{"retry_on":["connect_failure"]}`, 0, 1, "max-retries: 1 | retry-on: connect-failure"},
		{"gRPC", `{"retry_on":["grpc:unavailable"]}`, 0, 1, "max-retries: 1 | retry-grpc-on: unavailable"},
		{"nothing listed", `{"retry_on":[]}`, 0, 1, "max-retries: 1"},
		{"timeout for all attempts", `{}`, timeout, 0, "upstream-rq-timeout-ms: 4000 | max-retries: 0"},
		{
			"timeouts for all and for each", `{"per_try_timeout":"1500ms"}`, timeout, 0,
			"upstream-rq-timeout-ms: 4000 | upstream-rq-per-try-timeout-ms: 1500 | max-retries: 0",
		},
		{"by the filter", `{"driver":"filter"}`, 0, 2, "max-retries: 2"},
		{
			"by the filter, the shorter timeout", `{"driver":"filter","per_try_timeout":1}`, timeout, 0,
			"upstream-rq-timeout-ms: 1000 | max-retries: 0",
		},
		{
			"by the filter, the longer timeout", `{"driver":"filter","per_try_timeout":9}`, timeout, 0,
			"upstream-rq-timeout-ms: 4000 | max-retries: 0",
		},
	} {
		timeoutHeader := retries.TimeoutHeader(tc.timeout)
		if tc.timeout == 0 {
			timeoutHeader = nil
		}
		var got []string
		for _, h := range retries.New(section(t, tc.section), tc.timeout, timeoutHeader).ForRouter(tc.n, false) {
			got = append(got, strings.TrimPrefix(h[0], "x-envoy-")+": "+h[1])
		}
		if got := strings.Join(got, " | "); got != tc.want {
			t.Errorf("%s: got %s, want %s", tc.name, got, tc.want)
		}
	}
}

// TestForRouterWhereTheAnswerFlows: the router gets no timeout that would cut the answer, only one that ends at its
// headers.
func TestForRouterWhereTheAnswerFlows(t *testing.T) {
	const timeout = int64(4 * time.Second)
	for _, tc := range []struct {
		section string
		n       int
		want    string
	}{
		{`{}`, 0, "max-retries: 0"},
		{`{}`, 1, "max-retries: 1 | retry-on: 5xx"},
		{`{"per_try_timeout":"1500ms"}`, 0, "upstream-rq-per-try-timeout-ms: 1500 | max-retries: 0"},
		{`{"driver":"filter","per_try_timeout":1}`, 0, "upstream-rq-per-try-timeout-ms: 1000 | max-retries: 0"},
	} {
		var got []string
		for _, h := range retries.New(section(t, tc.section), timeout, retries.TimeoutHeader(timeout)).ForRouter(tc.n, true) {
			got = append(got, strings.TrimPrefix(h[0], "x-envoy-")+": "+h[1])
		}
		if got := strings.Join(got, " | "); got != tc.want {
			t.Errorf("%s, %d retries: got %s, want %s", tc.section, tc.n, got, tc.want)
		}
	}
}

func TestRouterMost(t *testing.T) {
	for _, tc := range []struct {
		section string
		want    int
	}{{`{}`, 2}, {`{"max_attempts":1}`, 0}, {`{"max_attempts":5}`, 4}, {`{"driver":"filter"}`, 0}} {
		if got := retries.New(section(t, tc.section), 0, nil).RouterMost(); got != tc.want {
			t.Errorf("%s: RouterMost() = %d, want %d", tc.section, got, tc.want)
		}
	}
}

func TestTimeoutHeader(t *testing.T) {
	for timeout, want := range map[time.Duration]string{
		time.Nanosecond: "1", time.Millisecond: "1", 2500 * time.Microsecond: "2",
		4 * time.Second: "4000",
	} {
		got := retries.TimeoutHeader(int64(timeout))
		if len(got) != 1 || got[0] != [2]string{"x-envoy-upstream-rq-timeout-ms", want} {
			t.Errorf("TimeoutHeader(%v) = %q, want x-envoy-upstream-rq-timeout-ms: %s", timeout, got, want)
		}
	}
}

func TestTooLong(t *testing.T) {
	for length, want := range map[string]bool{"": false, "x": false, "0": false, "1048576": false, "1048577": true, "99999999999": true} {
		if got := retries.TooLong(length); got != want {
			t.Errorf("TooLong(%q) = %v, want %v", length, got, want)
		}
	}
}
