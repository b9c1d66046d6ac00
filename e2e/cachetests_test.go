package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weir-mesh/weir/e2e/engine"
	"github.com/weir-mesh/weir/envoy/render"
)

// TestCacheTests runs the tests of github.com/http-tests/cache-tests, with their meaning for a cache that answers only where
// upstream fails:
//
//	of cache-tests                      here
//	a request that the cache may answer upstream fails it; Weir has to answer from the cache
//	one that it must not answer         upstream fails it; Weir must not; then it is sent again, and upstream answers
//	one that it has to validate         sent with the validator, as a client does; upstream answers 304
//	any other                           upstream answers
//
// WEIR_CACHE_TESTS is the path of a checkout. Its definitions are JavaScript, so node has to be there. CI has no checkout: what
// these tests found is in tests of our own, see docs/cache.md.
func TestCacheTests(t *testing.T) {
	checkout := os.Getenv("WEIR_CACHE_TESTS")
	if checkout == "" {
		t.Skip("WEIR_CACHE_TESTS is not set: the path of a checkout of github.com/http-tests/cache-tests")
	}
	suites := readCacheTests(t, checkout)
	s := &scriptedServer{runs: map[string]*cacheTestRun{}}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	o := options(t, `
clusters:
  strict: {fallback: {enable_degraded_mode: false}}
  shared: {fallback: {enable_degraded_mode: false, shared: true, cache_key_headers: [foo, bar, baz]}}
`, nil)
	port := portOf(t, strings.TrimPrefix(server.URL, "http://"))
	for _, cluster := range []string{"strict", "shared"} {
		o.Upstreams = append(o.Upstreams, render.Upstream{Name: cluster, Host: "127.0.0.1", Port: port})
	}
	w := startWith(t, o)
	var all []*cacheTestRun
	atOnce := make(chan struct{}, 40)
	var wait sync.WaitGroup
	for _, suite := range suites {
		for _, test := range suite.Tests {
			for _, cluster := range []string{"strict", "shared"} {
				run := &cacheTestRun{test: test, cluster: cluster, path: "/" + cluster + "/" + strconv.Itoa(len(all))}
				all = append(all, run)
				s.add(run)
				wait.Go(func() {
					atOnce <- struct{}{}
					run.run(w)
					<-atOnce
				})
			}
		}
	}
	wait.Wait()
	counts := map[string]int{}
	for _, r := range all {
		kind := r.test.Kind
		if kind == "" {
			kind = "required"
		}
		why, known := cacheTestsThatDiffer[r.test.ID]
		verdict := "passes"
		switch {
		case len(r.failed) == 0 && len(r.unkept) == 0 && r.judged == 0:
			verdict = "nothing to judge"
		case len(r.failed) == 0 && len(r.unkept) > 0:
			verdict = "not kept, or stale"
		case len(r.failed) > 0 && (known || kind != "required"):
			verdict = "differs"
		case len(r.failed) > 0:
			verdict = "FAILS"
			t.Errorf("%s (%s, %s): %s", r.test.ID, r.cluster, r.test.Name, strings.Join(r.failed, "; "))
		}
		counts[r.cluster+" "+kind+" "+verdict]++
		if verdict != "passes" {
			t.Logf("%s %s %s: %s %s %s", r.cluster, kind, verdict, r.test.ID, strings.Join(append(r.failed, r.unkept...), "; "), why)
		}
	}
	var lines []string
	for what, n := range counts {
		lines = append(lines, fmt.Sprintf("%4d %s", n, what))
	}
	slices.SortFunc(lines, func(a, b string) int { return strings.Compare(a[5:], b[5:]) })
	t.Log("\n" + strings.Join(lines, "\n"))
	w.WaitMetric("weir_faults_total", engine.Exactly(0))
}

// cacheTestsThatDiffer are required tests that a fallback cache does not pass, and why.
var cacheTestsThatDiffer = map[string]string{
	"freshness-max-age-s-maxage-private":          forPrivate,
	"freshness-max-age-s-maxage-private-multiple": forPrivate,
	"partial-use-headers":                         noRanges,
	"partial-use-stored-headers":                  noRanges,
	"cdn-max-age-0":                               forCDNs,
	"cdn-max-age-0-expires":                       forCDNs,
	"cdn-max-age-long-cc-max-age":                 forCDNs,
}

const (
	forPrivate = "it is for private caches"
	noRanges   = "a range gets the whole response (RFC 9110, section 14.2)"
	forCDNs    = "RFC 9213 is for CDNs: of cdn-cache-control only what forbids keeping is read"
	stale      = "a stale answer is allowed where upstream can't answer (RFC 9111, section 4.2.4)"
)

type (
	cacheTestSuite struct {
		ID    string
		Tests []cacheTest
	}
	cacheTest struct {
		ID, Name, Kind string
		Requests       []cacheTestRequest
	}
	// cacheTestRequest is a request of a test, and upstream's response to it.
	cacheTestRequest struct {
		Method          string   `json:"request_method"`
		RequestHeaders  [][]any  `json:"request_headers"`
		RequestBody     string   `json:"request_body"`
		Filename        string   `json:"filename"`
		Query           string   `json:"query_arg"`
		Status          []any    `json:"response_status"`
		Headers         [][]any  `json:"response_headers"`
		Body            *string  `json:"response_body"`
		Pause           float64  `json:"response_pause"`
		Interim         [][]any  `json:"interim_responses"`
		Disconnect      bool     `json:"disconnect"`
		Locations       bool     `json:"magic_locations"`
		RFC850          []string `json:"rfc850date"`
		MagicIMS        bool     `json:"magic_ims"`
		PauseAfter      bool     `json:"pause_after"`
		Type            string   `json:"expected_type"`
		ExpectedStatus  *int     `json:"expected_status"`
		ExpectedText    *string  `json:"expected_response_text"`
		Expected        []any    `json:"expected_response_headers"`
		ExpectedMissing []any    `json:"expected_response_headers_missing"`
		CheckBody       *bool    `json:"check_body"`
	}
)

// readCacheTests has node print the definitions.
func readCacheTests(t *testing.T, checkout string) (suites []cacheTestSuite) {
	t.Helper()
	path, err := filepath.Abs(filepath.Join(checkout, "tests", "index.mjs"))
	if err != nil {
		t.Fatal(err)
	}
	script := fmt.Sprintf("import tests from %q; console.log(JSON.stringify(tests))", path)
	out, err := exec.CommandContext(t.Context(), "node", "--input-type=module", "-e", script).Output()
	if err != nil {
		t.Fatalf("node can't read the definitions: %v", err)
	}
	if err := json.Unmarshal(out, &suites); err != nil || len(suites) == 0 {
		t.Fatalf("got %d suites, %v, want some", len(suites), err)
	}
	return suites
}

// cacheTestRun is one test against one cluster. Its requests are sent one after the other.
type cacheTestRun struct {
	test          cacheTest
	cluster, path string

	mutex   sync.Mutex
	step    int
	failing bool
	now     time.Time
	served  map[int]http.Header // the headers that upstream sent, by step

	judged         int
	failed, unkept []string
}

// scriptedServer is the upstream of all runs, by path.
type scriptedServer struct {
	mutex sync.Mutex
	runs  map[string]*cacheTestRun
}

func (s *scriptedServer) add(r *cacheTestRun) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.runs[r.path] = r
}

func (s *scriptedServer) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	parts := strings.Split(q.URL.Path, "/")
	s.mutex.Lock()
	r := s.runs["/"+parts[1]+"/"+parts[2]]
	s.mutex.Unlock()
	r.answer(w, q)
}

// answer is upstream's response to the current step.
func (r *cacheTestRun) answer(w http.ResponseWriter, q *http.Request) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	step := &r.test.Requests[r.step]
	if r.failing || step.Disconnect {
		panic(http.ErrAbortHandler) // the connection ends
	}
	for _, interim := range step.Interim {
		w.WriteHeader(int(interim[0].(float64)))
	}
	time.Sleep(time.Duration(step.Pause * float64(time.Second)))
	r.now = time.Now()
	status := 200
	if len(step.Status) > 0 {
		status = int(step.Status[0].(float64))
	}
	if strings.HasSuffix(step.Type, "_validated") && (q.Header.Get("if-none-match") != "" || q.Header.Get("if-modified-since") != "") {
		status = 304
	}
	h := w.Header()
	for _, pair := range step.Headers {
		h.Add(pair[0].(string), r.value(step, pair))
	}
	if h.Get("content-type") == "" {
		h.Set("Content-Type", "text/plain")
	}
	if _, dated := h["Date"]; !dated {
		h["Date"] = nil
	}
	r.served[r.step] = h.Clone()
	body := r.body(step)
	if status == 204 || status == 304 || q.Method == http.MethodHead {
		body = ""
	}
	w.WriteHeader(status)
	_, _ = w.Write([]byte(body)) // which a client may not want
}

func (r *cacheTestRun) body(step *cacheTestRequest) string {
	if step.Body != nil && *step.Body != "" {
		return *step.Body
	}
	return r.path
}

// value is a header's value: a number is a date, that many seconds from the last response.
func (r *cacheTestRun) value(step *cacheTestRequest, pair []any) string {
	name := strings.ToLower(pair[0].(string))
	switch v := pair[1].(type) {
	case float64:
		if slices.Contains([]string{"date", "expires", "last-modified", "if-modified-since", "if-unmodified-since"}, name) {
			at, format := r.now.Add(time.Duration(v*float64(time.Second))).UTC(), http.TimeFormat
			if slices.Contains(step.RFC850, name) {
				format = "Monday, 02-Jan-06 15:04:05 GMT"
			}
			return at.Format(format)
		}
		return strconv.FormatFloat(v, 'f', -1, 64)
	case string:
		if step.Locations && (name == "location" || name == "content-location") {
			return strings.TrimSuffix(r.path+"/"+v, "/")
		}
		return v
	}
	return fmt.Sprint(pair[1])
}

// run sends the requests.
func (r *cacheTestRun) run(w *weir) {
	r.served, r.now = map[int]http.Header{}, time.Now()
	for i := range r.test.Requests {
		step := &r.test.Requests[i]
		r.mutex.Lock()
		r.step = i
		r.mutex.Unlock()
		if i > 0 { // a key is kept once a second
			time.Sleep(1100 * time.Millisecond)
		}
		switch step.Type {
		case "cached":
			r.judge(i, step, r.send(w, i, step, true), true)
		case "not_cached":
			r.judge(i, step, r.send(w, i, step, true), false)
			r.send(w, i, step, false)
		default:
			a := r.send(w, i, step, step.Disconnect)
			if step.Disconnect {
				r.judge(i, step, a, false)
			}
		}
		if step.PauseAfter {
			time.Sleep(3 * time.Second)
		}
	}
}

func (r *cacheTestRun) send(w *weir, i int, step *cacheTestRequest, failing bool) answer {
	r.mutex.Lock()
	r.failing = failing
	r.mutex.Unlock()
	method, url := step.Method, w.url+r.path
	if method == "" {
		method = http.MethodGet
	}
	if step.Filename != "" {
		url += "/" + step.Filename
	}
	if step.Query != "" {
		url += "?" + step.Query
	}
	q, err := http.NewRequest(method, url, strings.NewReader(step.RequestBody))
	if err != nil {
		return answer{err: err, header: http.Header{}}
	}
	if step.RequestBody == "" {
		q.Body, q.ContentLength = nil, 0
	}
	q.Host = r.cluster
	q.Header.Set("User-Agent", "curl/8")
	for _, pair := range step.RequestHeaders {
		q.Header.Add(pair[0].(string), r.value(step, pair))
	}
	if i > 0 && strings.HasSuffix(step.Type, "_validated") {
		r.mutex.Lock()
		before := r.served[i-1]
		r.mutex.Unlock()
		if step.Type == "etag_validated" {
			q.Header.Set("If-None-Match", before.Get("etag"))
		} else {
			q.Header.Set("If-Modified-Since", before.Get("last-modified"))
		}
	}
	return w.doBy(&http.Transport{DisableKeepAlives: true, DisableCompression: true}, q)
}

// judge compares what a client got for a request that upstream failed.
func (r *cacheTestRun) judge(i int, step *cacheTestRequest, a answer, mayUse bool) {
	say := func(to *[]string, format string, args ...any) {
		*to = append(*to, fmt.Sprintf("request %d: ", i+1)+fmt.Sprintf(format, args...))
	}
	used := a.source() == "cache" || a.source() == "stale_cache"
	if a.err != nil {
		say(&r.failed, "got %v", a.err)
		return
	}
	switch {
	case mayUse && !used:
		say(&r.unkept, "not answered from the cache")
		return
	case !mayUse && used:
		r.judged++
		if a.source() == "stale_cache" {
			say(&r.unkept, "%s", stale)
			return
		}
		say(&r.failed, "answered from %s (cache-control %q, age %s)", a.source(), a.header.Get("cache-control"), a.header.Get("age"))
		return
	}
	r.judged++
	if !used {
		return
	}
	want := 200
	if step.ExpectedStatus != nil {
		want = *step.ExpectedStatus
	} else if len(step.Status) > 0 {
		want = int(step.Status[0].(float64))
	}
	if a.status != want && a.status != 304 {
		say(&r.failed, "status %d, want %d", a.status, want)
	}
	if step.ExpectedText != nil && a.body != *step.ExpectedText {
		say(&r.failed, "body %q, want %q", a.body, *step.ExpectedText)
	}
	for _, e := range step.Expected {
		r.judgeHeader(i, step, a, e)
	}
	for _, e := range step.ExpectedMissing {
		if name, ok := e.(string); ok && a.header.Get(name) != "" {
			say(&r.failed, "%s: %q, want none", name, a.header.Get(name))
		}
	}
}

func (r *cacheTestRun) judgeHeader(i int, step *cacheTestRequest, a answer, expected any) {
	fail := func(name, want string) {
		r.failed = append(r.failed, fmt.Sprintf("request %d: %s %q, want %s", i+1, name, a.header.Get(name), want))
	}
	if name, ok := expected.(string); ok {
		if a.header.Get(name) == "" {
			fail(name, "it there")
		}
		return
	}
	e := expected.([]any)
	name := e[0].(string)
	got := strings.Join(a.header.Values(name), ", ")
	switch {
	case len(e) > 2 && e[1] == "=":
		if got != a.header.Get(e[2].(string)) {
			fail(name, "that of "+e[2].(string))
		}
	case len(e) > 2 && e[1] == ">":
		if n, err := strconv.ParseFloat(got, 64); err != nil || n <= e[2].(float64) {
			fail(name, fmt.Sprintf("more than %v", e[2]))
		}
	default:
		if want := r.value(step, e); got != want {
			fail(name, strconv.Quote(want))
		}
	}
}
