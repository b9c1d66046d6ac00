package command

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/weir-mesh/weir/envoy/internal/status"
)

const awsStatus = `{"mode":"enforce","circuit_breaker":{"state":"half_open","forced":"auto","success_count":1,"success_threshold":3,"opens_total":1},` +
	`"requests":{"allowed":140,"rate_limited":7,"circuit_open":24,"bulkhead_full":0}}`

const allStatus = `{"time":"2026-11-24T10:00:00Z","version":"0.2.0","clusters":{"aws_pricing":` + awsStatus + `,"azure":{"mode":"enforce"}},"redis":{"state":"off"}}`

const table = `http://ADDRESS at 2026-11-24T10:00:00Z, Weir 0.2.0: 2 clusters, 1 half-open, 1 ok

STATE      CLUSTER      ALLOWED  NOT ADMITTED  WHY
half-open  aws_pricing      140            31  probing: 1 of 3 successes that close it
ok         azure
`

// listener responds as the admin listener does, for the clusters aws_pricing and azure.
func listener(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("content-type", "application/json; charset=utf-8")
	switch r.Method + " " + r.URL.EscapedPath() {
	case "GET /status":
		fmt.Fprint(w, allStatus)
	case "GET /status/aws_pricing":
		fmt.Fprint(w, `{"cluster":"aws_pricing",`+strings.TrimPrefix(awsStatus, "{"))
	case "POST /reset/aws_pricing":
		fmt.Fprint(w, `{"cluster":"aws_pricing","done":"reset"}`)
	case "POST /breaker/aws_pricing/open", "POST /breaker/aws_pricing/close", "POST /breaker/aws_pricing/auto":
		fmt.Fprintf(w, `{"cluster":"aws_pricing","done":%q}`, path.Base(r.URL.Path))
	case "POST /cache/invalidate":
		if q := r.URL.RawQuery; q != "cluster=aws_pricing" && q != "cluster=aws_pricing&path=%2Fv1%2Fa+b%3F" {
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprintf(w, `{"error":"unknown cluster of %s"}`, q)
			return
		}
		fmt.Fprint(w, `{"cluster":"aws_pricing","done":"invalidate"}`)
	default:
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"error":"unknown cluster"}`)
	}
}

// respond is a handler with one response.
func respond(code int, contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("content-type", contentType)
		w.WriteHeader(code)
		fmt.Fprint(w, body)
	}
}

// hijacked is a handler that writes this text, and closes the connection.
func hijacked(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		connection, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			panic(err)
		}
		fmt.Fprint(connection, text)
		_ = connection.Close()
	}
}

// host serves a handler and returns its HOST:PORT.
func host(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// runAt runs a command line with the server's address for ADDRESS, and puts ADDRESS back into what it printed.
func runAt(t *testing.T, h http.HandlerFunc, line string) result {
	t.Helper()
	address := host(t, h)
	got := run(t, "", strings.Fields(strings.ReplaceAll(line, "ADDRESS", address))...)
	got.out = strings.ReplaceAll(got.out, address, "ADDRESS")
	got.err = strings.ReplaceAll(got.err, address, "ADDRESS")
	return got
}

func TestStatusAndReset(t *testing.T) {
	for line, want := range map[string]string{
		"status ADDRESS":                          table,
		"status http://ADDRESS/":                  table,
		"status --json ADDRESS":                   indented(t, allStatus),
		"status --json ADDRESS aws_pricing":       indented(t, `{"cluster":"aws_pricing",`+strings.TrimPrefix(awsStatus, "{")),
		"reset ADDRESS aws_pricing":               "aws_pricing at http://ADDRESS is reset: its circuit breaker is closed, its limit is unused, its counts are zero\n",
		"reset --json ADDRESS/ aws_pricing":       indented(t, `{"cluster":"aws_pricing","done":"reset"}`),
		"reset http://u:p@ADDRESS aws_pricing":    "aws_pricing at http://u:xxxxx@ADDRESS is reset: its circuit breaker is closed, its limit is unused, its counts are zero\n",
		"breaker open ADDRESS aws_pricing":        "aws_pricing at http://ADDRESS: its circuit breaker is forced open: requests get a fallback or 503, until `weir breaker auto`\n",
		"breaker close ADDRESS aws_pricing":       "aws_pricing at http://ADDRESS: its circuit breaker is forced closed, whatever upstream answers, until `weir breaker auto`\n",
		"breaker auto --json ADDRESS aws_pricing": indented(t, `{"cluster":"aws_pricing","done":"auto"}`),
		"cache invalidate ADDRESS aws_pricing":    "aws_pricing at http://ADDRESS: its kept answers are dropped\n",
	} {
		t.Run(line, func(t *testing.T) {
			got := runAt(t, listener, line)
			if diff := cmp.Diff(result{StatusOK, want, ""}, got, cmp.AllowUnexported(result{})); diff != "" {
				t.Errorf("got (+), want (-):\n%s", diff)
			}
		})
	}
	if got := runAt(t, listener, "status --fail-on half-open,open ADDRESS"); got.status != StatusFailed || got.out != table || got.err != "weir: aws_pricing is half-open\n" {
		t.Errorf("--fail-on, half-open: got %+v, want the table, status 1 and the cluster", got)
	}
	if got := runAt(t, listener, "status --fail-on open ADDRESS"); got.status != StatusOK || got.out != table || got.err != "" {
		t.Errorf("--fail-on, none: got %+v, want the table and status 0", got)
	}
	address := host(t, listener)
	if got := run(t, "", "cache", "invalidate", "--path", "/v1/a b?", address, "aws_pricing"); got.status != StatusOK ||
		got.out != "aws_pricing at http://"+address+": its kept answers of /v1/a b? are dropped\n" {
		t.Errorf("one path: got %+v, want it dropped", got)
	}
	got := runAt(t, listener, "status ADDRESS aws_pricing")
	for _, want := range []string{"aws_pricing at http://ADDRESS, 20", ": half-open: probing: 1 of 3", "\ncircuit breaker  half_open; ", "\nrequests         140 allowed, 7 rate limited"} {
		if got.status != StatusOK || !strings.Contains(got.out, want) {
			t.Errorf("one cluster: got %+v, want %q in it", got, want)
		}
	}
}

func indented(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	if err := json.Indent(&b, []byte(text), "", "  "); err != nil {
		t.Fatal(err)
	}
	return b.String() + "\n"
}

// TestStatusFailures: an error is one line on standard error and status 1, with nothing on standard output.
func TestStatusFailures(t *testing.T) {
	hostile := "\x1b[2J" + strings.Repeat("x", 200)
	for name, test := range map[string]struct {
		line    string
		handler http.HandlerFunc
		want    string
	}{
		"unknown cluster":   {"status ADDRESS aws_pricng", listener, "weir: http://ADDRESS: no cluster aws_pricng; there are: aws_pricing, azure\n"},
		"unknown to open":   {"breaker open ADDRESS azur", listener, "no cluster azur; there are: azure, aws_pricing\n"},
		"no cache":          {"cache invalidate ADDRESS azur", listener, "no cluster azur; there are: azure, aws_pricing\n"},
		"not confirmed":     {"breaker open ADDRESS a", respond(200, "application/json", `{"cluster":"a","done":"close"}`), "does not confirm open of a"},
		"unknown to reset":  {"reset ADDRESS azur", listener, "no cluster azur; there are: azure, aws_pricing\n"},
		"a path for a name": {"reset ADDRESS ../reset/aws_pricing?x", listener, "no cluster ../reset/aws_pricing?x; there are: "},
		"no policy there": {
			"status ADDRESS aws", func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/status" {
					respond(200, "application/json", `{"clusters":{}}`)(w, r)
					return
				}
				respond(404, "application/json", `{"error":"unknown cluster"}`)(w, r)
			},
			"no cluster aws: no cluster there has a policy",
		},
		"many clusters": {
			"status ADDRESS c9x", func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/status" {
					respond(404, "application/json", `{"error":"unknown cluster"}`)(w, r)
					return
				}
				var names []string
				for i := range 30 {
					names = append(names, fmt.Sprintf(`"c%d":{}`, i))
				}
				respond(200, "application/json", `{"clusters":{`+strings.Join(names, ",")+`}}`)(w, r)
			},
			"no cluster c9x; there are: c9, c0, c1, c10, c11, c12, c13, c14 and 22 more\n",
		},
		"another server":   {"status ADDRESS", respond(404, "text/html", "<h1>gone</h1>"), "http://ADDRESS is not Weir's admin listener: GET /status got 404 and text/html; its address is what `weir render envoy --weir-admin` was given\n"},
		"a web page":       {"status ADDRESS", respond(200, "text/html", "<h1>hello</h1>"), "not Weir's admin listener: GET /status got 200 and text/html"},
		"other JSON":       {"status ADDRESS", respond(200, "application/json", `{"status":"UP"}`), `its response is not a status: {"status":"UP"}`},
		"a list":           {"status ADDRESS", respond(200, "application/json", `[1]`), `its response is not a status: [1]`},
		"JSON, half of it": {"status ADDRESS", respond(200, "application/json", `{"clusters":{"a":`), "GET /status got 200 and application/json"},
		"another version": {
			"status ADDRESS", respond(200, "application/json", `{"clusters":{"a":{"circuit_breaker":{"state":{"now":"open"}}}}}`),
			"weir: http://ADDRESS: clusters.circuit_breaker.state has a type that this weir does not know (object): use the weir of the filter's version\n",
		},
		"another version, one": {
			"status ADDRESS aws", respond(200, "application/json", `{"cluster":"aws","retry":{"attempts_total":"9"}}`),
			"weir: http://ADDRESS: retry.attempts_total has a type that this weir does not know (string)",
		},
		"not with TLS":     {"status https://ADDRESS", listener, "weir: https://ADDRESS: the server does not use TLS: write http://\n"},
		"another's status": {"status ADDRESS aws", respond(200, "application/json", `{"cluster":"azure"}`), `its response is not a status of aws: {"cluster":"azure"}`},
		"done what?":       {"reset ADDRESS aws", respond(200, "application/json", `{"cluster":"aws","done":"opened"}`), "its response does not confirm reset of aws"},
		"hostile error":    {"status ADDRESS", respond(403, "application/json", `{"error":"go \u001b[2J away"}`), `http://ADDRESS: refused: 403 go \x1b[2J away`},
		"hostile body":     {"status ADDRESS", respond(200, "application/json", `{"\u009b":"`+strings.Repeat("y", 100)+`"}`), `its response is not a status: {"\u009b":"yyy`},
		"hostile name":     {"status ADDRESS " + hostile, listener, `no cluster \x1b[2Jxxx`},
		"endless": {
			"status ADDRESS", func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("content-type", "application/json")
				for part := bytes.Repeat([]byte(" "), 1<<16); ; {
					if _, err := w.Write(part); err != nil {
						return
					}
				}
			},
			"its response is longer than 8 MB",
		},
		"a redirect": {
			"status ADDRESS", func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("location", "http://127.0.0.1:1/")
				w.WriteHeader(http.StatusFound)
			},
			"GET /status got 302 and a body without a type",
		},
		"Envoy's admin": {
			"status ADDRESS", func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("server", "envoy")
				respond(404, "text/plain", "invalid path. admin commands are:\n")(w, nil)
			},
			"this is Envoy's own admin interface: use Weir's admin listener",
		},
		"a cut response": {"status ADDRESS", hijacked("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{"), "http://ADDRESS: the connection ended before the whole response was there; check"},
		"no response":    {"status ADDRESS", hijacked(""), "http://ADDRESS: the connection ended before the whole response was there; check"},
		"no HTTP":        {"status ADDRESS", hijacked("\x00\x1b[31mSSH-2.0\r\n\r\n"), "http://ADDRESS is not Weir's admin listener: its response is not HTTP"},
		"too slow": {
			"status --timeout 50ms ADDRESS", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
			"http://ADDRESS: no response within 50ms: wait longer with --timeout\n",
		},
		"slow half-way": {
			"status --timeout 50ms ADDRESS", func(w http.ResponseWriter, r *http.Request) {
				fmt.Fprint(w, "{")
				w.(http.Flusher).Flush()
				<-r.Context().Done()
			},
			"http://ADDRESS: no response within 50ms: wait longer with --timeout\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := runAt(t, test.handler, test.line)
			if got.status != StatusFailed || got.out != "" || !strings.HasPrefix(got.err, "weir: ") || !strings.Contains(got.err, test.want) || strings.Count(got.err, "\n") != 1 {
				t.Errorf("got %+v, want status 1 and %q", got, test.want)
			}
		})
	}
	t.Run("no server", func(t *testing.T) {
		closed, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		_ = closed.Close()
		got := run(t, "", "status", closed.Addr().String())
		if want := "weir: http://" + closed.Addr().String() + ": no connection: connect: connection refused; check that Envoy runs with Weir's admin listener: its address is what `weir render envoy --weir-admin` was given\n"; got != (result{StatusFailed, "", want}) {
			t.Errorf("got %+v, want %q", got, want)
		}
	})
}

// watched runs a command line until its standard output is enough, then interrupts it.
func watched(t *testing.T, h http.HandlerFunc, enough func(out string) bool, args ...string) result {
	t.Helper()
	ctx, interrupt := context.WithTimeout(t.Context(), 20*time.Second)
	defer interrupt()
	out := &watchedBuffer{changed: func(text string) {
		if enough(text) {
			interrupt()
		}
	}}
	var errs bytes.Buffer
	code := Run(ctx, append(args, host(t, h)), Streams{Out: out, Err: &errs})
	if !enough(out.String()) {
		t.Fatalf("after 20 s: got standard output\n%s\nwant more; standard error: %s", out.String(), errs.String())
	}
	return result{code, out.String(), errs.String()}
}

type watchedBuffer struct {
	mu      sync.Mutex
	all     bytes.Buffer
	changed func(string)
}

func (b *watchedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n, err := b.all.Write(p)
	b.changed(b.all.String())
	return n, err
}

func (b *watchedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.all.String()
}

func TestStatusWatch(t *testing.T) {
	three := func(what string) func(string) bool {
		return func(out string) bool { return strings.Count(out, what) >= 3 }
	}
	// Blocks follow each other, with an empty line between them.
	got := watched(t, listener, three("2 clusters"), "status", "--watch=100ms")
	if got.status != StatusOK || got.err != "" || strings.Count(got.out, "azure\n\nhttp://") != 2 || strings.Contains(got.out, "\x1b") {
		t.Errorf("table: got %+v, want 3 blocks, no escapes and no error", got)
	}
	// One document a line.
	got = watched(t, listener, three(`"redis"`), "status", "--json", "--watch=100ms")
	if want := strings.Repeat(allStatus+"\n", 3); got.status != StatusOK || got.out != want || got.err != "" {
		t.Errorf("JSON: got %+v, want %q", got, want)
	}
	// A failed request is reported, and the watch goes on.
	var asked atomic.Int32
	flaky := func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1) == 2 {
			respond(503, "text/plain", "")(w, r)
			return
		}
		listener(w, r)
	}
	got = watched(t, flaky, three("2 clusters"), "status", "--watch=100ms")
	if got.status != StatusOK || strings.Count(got.err, "\n") != 1 || !strings.Contains(got.err, "GET /status got 503 and text/plain") {
		t.Errorf("flaky: got %+v, want status 0 and one error", got)
	}
	// If the first request fails, the command line is most probably wrong.
	if got := run(t, "", "status", "--watch", host(t, respond(503, "text/plain", ""))); got.status != StatusFailed || got.out != "" {
		t.Errorf("fails at once: got %+v, want status 1 and no output", got)
	}
}

func TestInterruptWhileWaiting(t *testing.T) {
	for line, want := range map[string]int{"status --watch": StatusOK, "status": StatusFailed} {
		ctx, interrupt := context.WithCancel(t.Context())
		address := host(t, func(_ http.ResponseWriter, r *http.Request) { interrupt(); <-r.Context().Done() })
		var out, errs bytes.Buffer
		if got := Run(ctx, append(strings.Fields(line), address), Streams{Out: &out, Err: &errs}); got != want || out.Len() > 0 {
			t.Errorf("%s: got status %d, want %d and no output; %s%s", line, got, want, out.String(), errs.String())
		}
		interrupt()
	}
}

func TestOverScreen(t *testing.T) {
	if got, want := string(overScreen([]byte("a\nb\n"))), "\x1b[Ha\x1b[K\nb\x1b[K\n\x1b[J"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestStatusOfAllSections: package status's example has all sections that a real response has.
func TestStatusOfAllSections(t *testing.T) {
	text, err := os.ReadFile("../status/testdata/status.json")
	if err != nil {
		t.Fatal(err)
	}
	address := host(t, respond(200, "application/json", string(text)))
	got := run(t, "", "status", "--json", address)
	want, err := status.JSON(text, true)
	if err != nil {
		t.Fatal(err)
	}
	if got.out != string(want) || got.status != StatusOK {
		t.Errorf("got %+v, want %s", got, want)
	}
}
