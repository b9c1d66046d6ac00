package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
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
// these tests found is in tests of our own. docs/cache.md lists the required ones that differ by design.
func TestCacheTests(t *testing.T) {
	checkout := os.Getenv("WEIR_CACHE_TESTS")
	if checkout == "" {
		t.Skip("WEIR_CACHE_TESTS is not set: the path of a checkout of github.com/http-tests/cache-tests")
	}
	suites := readCacheTests(t, checkout)
	page, err := os.ReadFile(filepath.Join("..", "docs", "cache.md"))
	if err != nil {
		t.Fatal(err)
	}
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
	counts, ids := map[string]int{}, map[string][]string{}
	for _, r := range all {
		verdict, why := r.verdict()
		switch {
		case verdict == "fails":
			t.Errorf("%s (%s, %s): %s", r.test.ID, r.cluster, r.test.Name, why)
		case verdict == "by design" && r.kind() == "required" && !strings.Contains(string(page), "`"+r.test.ID+"`"):
			t.Errorf("%s differs by design (%s): docs/cache.md does not list it", r.test.ID, why)
		}
		of := fmt.Sprintf("%s, %s: %s", r.cluster, r.kind(), verdict)
		counts[of]++
		if verdict != "passes" {
			of += ": " + why
			ids[of] = append(ids[of], r.test.ID)
		}
	}
	for _, of := range slices.Sorted(maps.Keys(counts)) {
		t.Logf("%4d %s", counts[of], of)
	}
	for _, of := range slices.Sorted(maps.Keys(ids)) {
		t.Logf("%s\n\t%s", of, strings.Join(ids[of], " "))
	}
	w.WaitMetric("weir_faults_total", engine.Exactly(0))
}

func (r *cacheTestRun) kind() string {
	if r.test.Kind == "" {
		return "required"
	}
	return r.test.Kind // optimal, or check, which asks what a cache does
}

// verdict is what a run showed:
//
//	passes     Weir does what the test asks for
//	stricter   it keeps or uses less
//	by design  it uses a stale answer, which RFC 9111 allows where upstream can't answer, or cacheTestsByDesign says why
//	fails      else, what is required
//	differs    else, what is optimal or only asked
//	unjudged   the test judges what no client of a fallback cache sees, or Envoy does not pass its request on
func (r *cacheTestRun) verdict() (verdict, why string) {
	design, known := cacheTestsByDesign[r.test.ID]
	switch {
	case len(r.uncarried) > 0:
		return "unjudged", strings.Join(r.uncarried, "; ")
	case len(r.failed) > 0 && known:
		return "by design", design
	case len(r.failed) > 0 && r.kind() != "required":
		return "differs", strings.Join(r.failed, "; ")
	case len(r.failed) > 0:
		return "fails", strings.Join(r.failed, "; ")
	case len(r.stale) > 0:
		return "by design", r.stale[0]
	case len(r.unkept) > 0:
		return "stricter", r.unkept[0]
	case r.judged == 0:
		return "unjudged", "no request that the cache answers, or may not answer"
	}
	return "passes", ""
}

// cacheTestsByDesign are required tests that a fallback cache does not pass, and why.
var cacheTestsByDesign = map[string]string{
	"freshness-max-age-s-maxage-private":          forPrivate,
	"freshness-max-age-s-maxage-private-multiple": forPrivate,
	"partial-use-headers":                         noRanges,
	"partial-use-stored-headers":                  noRanges,
	"cdn-max-age-0":                               forCDNs,
	"cdn-max-age-0-expires":                       forCDNs,
	"cdn-max-age-long-cc-max-age":                 forCDNs,
}

const (
	forPrivate = "it asks what a private cache does, which ignores s-maxage"
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

	judged                           int
	failed, stale, unkept, uncarried []string
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
			switch {
			case step.Disconnect:
				r.judge(i, step, a, false)
			case a.err == nil && !r.carried(i):
				r.uncarried = append(r.uncarried, fmt.Sprintf("%s is answered %d by Envoy", step.Method, a.status))
			}
		}
		if step.PauseAfter {
			time.Sleep(3 * time.Second)
		}
	}
}

// carried reports whether upstream got a step's request.
func (r *cacheTestRun) carried(i int) bool {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return r.served[i] != nil
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
		r.unkept = append(r.unkept, "not answered from the cache")
		return
	case !mayUse && used:
		r.judged++
		if a.source() == "stale_cache" {
			r.stale = append(r.stale, stale)
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
