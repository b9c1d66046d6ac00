package engine

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseMetrics(t *testing.T) {
	// Labels come out in the order in which Envoy's tags were found, not of the alphabet.
	const text = `# TYPE weir_requests_total counter
weir_requests_total{decision="allowed",cluster="aws"} 7

# TYPE weir_breaker_state gauge
weir_breaker_state{cluster="a \"b\""} 2

# TYPE server_live gauge
server_live{} 1

# TYPE rq_time histogram
rq_time_bucket{envoy="x",le="0.5"} 1
rq_time_bucket{envoy="x",le="+Inf"} 3
rq_time_sum{envoy="x"} 4.5
rq_time_count{envoy="x"} 3
`
	got, err := parseMetrics(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]float64{
		`weir_requests_total{cluster="aws",decision="allowed"}`: 7,
		`weir_breaker_state{cluster="a \"b\""}`:                 2,
		`server_live`:                                           1,
		`rq_time_sum{envoy="x"}`:                                4.5,
		`rq_time_count{envoy="x"}`:                              3,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("want - got +:\n%s", diff)
	}
	if _, err := parseMetrics(strings.NewReader("{}}")); err == nil {
		t.Error("got no error, want one for a text that is not Prometheus's")
	}
}

func TestLibraryPath(t *testing.T) {
	for line, want := range map[string]string{
		"\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f)": "/lib/x86_64-linux-gnu/libc.so.6",
		"\t/lib64/ld-linux-x86-64.so.2 (0x00007f)":                  "/lib64/ld-linux-x86-64.so.2",
		"\tlinux-vdso.so.1 (0x00007f)":                              "",
	} {
		got := ""
		if match := libraryPath.FindStringSubmatch(line); match != nil {
			got = match[1]
		}
		if got != want {
			t.Errorf("%q: got %q, want %q", line, got, want)
		}
	}
}

func TestChooseNamesTheChoices(t *testing.T) {
	_, err := choose("podman")
	if err == nil || err.Error() != `E2E_ENGINE: want auto, docker or binary, got "podman"` {
		t.Errorf("got %v, want an error that names the choices", err)
	}
}
