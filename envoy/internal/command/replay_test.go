package command

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weir-mesh/weir/envoy/internal/replay"
	"github.com/weir-mesh/weir/envoy/internal/replay/replaytest"
)

// replayed is what `weir replay` printed.
func replayed(t *testing.T, in string, args ...string) (status int, out, errs string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	status = Run(context.Background(), append([]string{"replay"}, args...), Streams{In: strings.NewReader(in), Out: &stdout, Err: &stderr})
	return status, stdout.String(), stderr.String()
}

func file(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const replayedLog = `[2026-11-28T10:00:00.100Z] "GET / HTTP/1.1" 200 - 0 58 12 9 "192.0.2.1" "curl/8" "f21e" "api.example.com" "10.0.0.1:80"
[2026-11-28T10:00:00.200Z] "GET / HTTP/1.1" 200 - 0 58 12 9 "192.0.2.1" "curl/8" "f21e" "api.example.com" "10.0.0.1:80"
[2026-11-28T10:00:00.300Z] "GET / HTTP/1.1" 200 - 0 58 12 9 "192.0.2.1" "curl/8" "f21e" "web.example.com" "10.0.0.1:80"
`

func TestReplay(t *testing.T) {
	wasm := "--wasm=" + replaytest.Module(t)
	one := file(t, "policy.yaml", "clusters: {aws: {rate_limit: {requests: 1}}}")
	two := file(t, "next.yaml", `clusters: {aws: {rate_limit: {requests: "${N}", key: [{header: x-api-key}]}}}`)
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	if _, err := io.WriteString(w, replayedLog); err != nil || w.Close() != nil {
		t.Fatal(err)
	}
	log := file(t, "access.log.gz", zipped.String())
	for _, test := range []struct {
		name, in string
		args     []string
		status   int
		out, err []string // texts that are in it
	}{
		{name: "standard input", in: replayedLog, args: []string{"-f", one, "--cluster", "aws", "-", wasm}, out: []string{"3 requests from 2026-11-28 10:00:00.100", "3         1             2"}},
		{name: "a file, by authority", args: []string{"-f", one, "--cluster-of", "api.example.com=aws", log, wasm}, out: []string{"that name no cluster, and are left out: 1;", "2         1             1"}},
		{
			name: "shadow by a variable", in: replayedLog, args: []string{"-f", file(t, "shadow.yaml", `clusters: {aws: {mode: "${MODE:-shadow}", rate_limit: {requests: 1}}}`), "--cluster=aws", "-", wasm},
			out: []string{"note: clusters in mode shadow are decided as if they enforced", "3         1             2"},
		},
		{
			name: "two policies", args: []string{"-f", one, "--against", two, "--env", "N=2", "--cluster=aws", log, wasm},
			out: []string{"aws, by header x-api-key: 1 keys", "only the first  only the second  both  cluster\n               1                0     1  aws\n"},
			err: []string{"warning: no line has the header x-api-key, by which a limit counts; --field header:x-api-key=KEY"},
		},
		{name: "a wrong policy", in: replayedLog, args: []string{"-f", file(t, "bad.yaml", "clusters: {aws: {rate: {}}}"), "-", wasm}, status: StatusFailed, err: []string{"bad.yaml:1:18: clusters.aws.rate: unknown key"}},
		{name: "no log", args: []string{"-f", one, "nowhere.log", wasm}, status: StatusFailed, err: []string{"nowhere.log: no such file"}},
		{name: "no module", in: replayedLog, args: []string{"-f", one, "-", "--wasm", "nowhere.wasm"}, status: StatusFailed, err: []string{"nowhere.wasm: no such file"}},
		{name: "a module that is none", in: replayedLog, args: []string{"-f", one, "--cluster=aws", "-", "--wasm", one}, status: StatusFailed, err: []string{"policy.yaml: invalid magic number"}},
		{name: "no policy", args: []string{"-"}, status: StatusUsage, err: []string{`required flag(s) "file" not set`}},
	} {
		t.Run(test.name, func(t *testing.T) {
			status, out, errs := replayed(t, test.in, test.args...)
			if status != test.status {
				t.Errorf("got status %d, want %d; it wrote\n%s%s", status, test.status, out, errs)
			}
			for _, want := range test.out {
				if !strings.Contains(out, want) {
					t.Errorf("got output\n%s\nwant %q in it", out, want)
				}
			}
			for _, want := range test.err {
				if !strings.Contains(errs, want) {
					t.Errorf("got standard error\n%s\nwant %q in it", errs, want)
				}
			}
			if len(test.err) == 0 && errs != "" {
				t.Errorf("got standard error %q, want none: no terminal, no bar", errs)
			}
		})
	}

	status, out, errs := replayed(t, replayedLog, "-f", one, "--cluster", "aws", "-", "--json", wasm)
	var report replay.Report
	if err := json.Unmarshal([]byte(out), &report); err != nil || status != 0 || errs != "" {
		t.Fatalf("--json: got status %d, %v, %q\n%s", status, err, errs, out)
	}
	if got := report.Policies[0].Clusters[0]; got.Requests != 3 || got.RateLimited != 2 || got.Suggestions[0].Value != 4 {
		t.Errorf("--json: got %+v, want 3 requests, 2 limited, and a suggestion of 3 x 1.2", got)
	}
}

func TestProgress(t *testing.T) {
	var b strings.Builder
	now := time.Unix(0, 0)
	p := &progress{out: &b, now: func() time.Time { return now }}
	for _, at := range []struct {
		at          time.Duration
		title       string
		done, total int64
		want        string
	}{
		{10 * time.Second, "reading", 500, 1000, "\r\x1b[Kreading  [############............]  50 %"},
		{10050 * time.Millisecond, "reading", 600, 1000, ""},
		{14 * time.Second, "reading", 800, 1000, "\r\x1b[Kreading  [###################.....]  80 %  1 s left"},
		{15 * time.Second, "policy.yaml", 1200, 0, "\r\x1b[Kpolicy.yaml  1,200"},
	} {
		now = time.Unix(0, int64(at.at))
		b.Reset()
		p.show(at.title, at.done, at.total)
		if b.String() != at.want {
			t.Errorf("at %v: show(%q, %d, %d) wrote %q, want %q", at.at, at.title, at.done, at.total, b.String(), at.want)
		}
	}
	b.Reset()
	p.clear()
	p.clear()
	if got := b.String(); got != "\r\x1b[K" {
		t.Errorf("clear twice: wrote %q, want the line cleared once", got)
	}
	if p := newProgress(&b); p.out != nil {
		t.Error("newProgress(no terminal): got a bar, want none")
	}
}
