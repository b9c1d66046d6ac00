package e2e

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/weir-mesh/weir/e2e/engine"
	"github.com/weir-mesh/weir/e2e/upstream"
)

// The bound of what the filter keeps of a body, and of what Envoy's router certainly does: 1 MiB, its
// per_connection_buffer_limit_bytes, which for HTTP/2 is not the last word.
const filterKeeps, routerKeeps = 20_000, 1 << 20

var protocols = []string{"http1", "http2"}

// bodyCase is a request with a body, on its way through Envoy.
type bodyCase struct {
	driver   string
	client   string // http1, http2
	upstream string
	form     string // length: its length is told before; chunked: it is not; trailers: nor is it, and trailers follow
	size     int
}

func (c bodyCase) cluster() string { return c.driver + "-" + c.upstream }

func (c bodyCase) String() string {
	return fmt.Sprintf("driver %s, %d bytes (%s), %s to %s", c.driver, c.size, c.form, c.client, c.upstream)
}

// attempts says how many are to be made of three: one, where the body is too long to be kept, or trailers follow it
// that Envoy can't send for a filter.
func (c bodyCase) attempts(made int) int {
	switch {
	case c.driver == "filter" && (c.size > filterKeeps || c.form == "trailers"):
		return 1
	case c.size > routerKeeps && made == 1:
		return 1
	default:
		return 3
	}
}

func bodyCases() (all []bodyCase) {
	for _, driver := range drivers {
		for _, client := range protocols {
			for _, to := range protocols {
				for _, form := range []string{"length", "chunked", "trailers"} {
					for _, size := range []int{0, 1, filterKeeps - 1, filterKeeps, filterKeeps + 1, 3 * filterKeeps, 2 * routerKeeps} {
						c := bodyCase{driver, client, to, form, size}
						// Envoy takes no trailers from HTTP/1 (enable_trailers), and 2 MB of each kind would take their
						// time.
						if form == "trailers" && client == "http1" || size > routerKeeps && (form != "length" || client != to) {
							continue
						}
						all = append(all, c)
					}
				}
			}
		}
	}
	return all
}

// TestRetriedMessages: what upstream gets is in each attempt what the client sent, byte for byte, and what is too long
// to be kept passes unharmed, once; and the client gets the answer of the later attempt as it is.
func TestRetriedMessages(t *testing.T) {
	if testing.Short() {
		t.Skip("one engine is enough for this")
	}
	t.Parallel()
	policy, upstreams := "clusters:\n", map[string]*upstream.Upstream{}
	add := func(cluster, driver, rules string) *upstream.Upstream {
		policy += fmt.Sprintf("  %s: {%s}\n", cluster, retryRules(driver, rules))
		upstreams[cluster] = upstream.New(t)
		return upstreams[cluster]
	}
	for _, driver := range drivers {
		for _, protocol := range protocols {
			u := add(driver+"-"+protocol, driver, fmt.Sprintf("max_body_bytes: %d", filterKeeps))
			u.ScriptAttempts(numberHeader, upstream.Any, upstream.Status(500), upstream.Status(503), upstream.OK())
			answerLater(add(driver+"-answers-"+protocol, driver, "max_attempts: 2"))
		}
		add(driver+"-early", driver, "base_delay: 100ms")
	}
	w := startWith(t, withHTTP2(options(t, policy, upstreams)))
	t.Run("byte for byte", func(t *testing.T) {
		cases, seed := bodyCases(), rand.Uint64()
		many(t, len(cases), 100, func(i int) error {
			c := cases[i]
			if err := c.check(w.in(t), upstreams[c.cluster()], rand.New(rand.NewPCG(seed, uint64(i)))); err != nil {
				return fmt.Errorf("%v: %w", c, err)
			}
			return nil
		})
		t.Logf("%d bodies", len(cases))
	})
	for _, driver := range drivers {
		t.Run("hop by hop/"+driver, func(t *testing.T) { hopByHop(t, w.in(t), driver+"-http1", upstreams[driver+"-http1"]) })
		t.Run("refused before its end/"+driver, func(t *testing.T) {
			refusedBeforeItsEnd(t, w.in(t), driver+"-early", upstreams[driver+"-early"])
		})
		for _, protocol := range protocols {
			cluster := driver + "-answers-" + protocol
			for _, a := range retriedAnswers() {
				t.Run(cluster+"/"+a.name, func(t *testing.T) { a.check(t, w.in(t), cluster, upstreams[cluster]) })
			}
			t.Run(cluster+"/never half", func(t *testing.T) { neverHalf(t, w.in(t), cluster, upstreams[cluster]) })
		}
	}
	w.WaitMetric("weir_faults_total", engine.Exactly(0))
}

func (c bodyCase) check(w *weir, u *upstream.Upstream, random *rand.Rand) error {
	body := make([]byte, c.size)
	for i := range body {
		body[i] = byte(random.Uint32())
	}
	r, id := w.numberedRequest("PUT", c.cluster(), "/")
	r.Header.Set("content-type", "application/octet-stream")
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(c.size)
	switch {
	case c.form == "trailers":
		r.Trailer = http.Header{"X-Sum": {fmt.Sprintf("%x", sha256.Sum256(body))}}
		fallthrough
	case c.form == "chunked":
		r.ContentLength = -1
	case c.size == 0:
		r.Body = http.NoBody
	}
	var speaks http.Protocols
	speaks.SetHTTP1(c.client == "http1")
	speaks.SetUnencryptedHTTP2(c.client == "http2")
	transport := &http.Transport{DisableKeepAlives: true, DisableCompression: true, Protocols: &speaks}
	defer transport.CloseIdleConnections()
	a := w.doBy(transport, r)
	attempts := u.Attempts(numberHeader, id)
	want := c.attempts(len(attempts))
	status := map[int]int{1: 500, 3: 200}[want]
	if a.err != nil || a.status != status || len(attempts) != want {
		return fmt.Errorf("%d %v after %d attempts, want %d after %d", a.status, a.err, len(attempts), status, want)
	}
	for i, attempt := range attempts {
		if attempt.BodySize != int64(c.size) || attempt.BodySHA256 != sha256.Sum256(body) {
			return fmt.Errorf("attempt %d: got %d bytes, or other bytes than were sent", i+1, attempt.BodySize)
		}
		// Towards HTTP/1 Envoy drops trailers, whoever sends them.
		if sent := r.Trailer.Get("x-sum"); c.upstream == "http2" && attempt.Trailer.Get("x-sum") != sent {
			return fmt.Errorf("attempt %d: got trailers %v, want %v", i+1, attempt.Trailer, r.Trailer)
		}
		if err := sameHeaders(attempts[0], attempt); err != nil {
			return fmt.Errorf("attempt %d: %w", i+1, err)
		}
	}
	return nil
}

// sameHeaders says where a later attempt has other headers than the first. Envoy itself counts and times its attempts,
// and calls what a filter sends internal, which nothing can keep it from; a body of untold length that was kept has
// one.
func sameHeaders(first, later upstream.Request) error {
	a, b := maps.Clone(first.Header), maps.Clone(later.Header)
	if a.Get("content-length") == "" {
		delete(b, "Content-Length")
	}
	for _, h := range []http.Header{a, b} {
		delete(h, "X-Envoy-Attempt-Count")
		delete(h, "X-Envoy-Internal")
		delete(h, "X-Envoy-Expected-Rq-Timeout-Ms")
	}
	if !reflect.DeepEqual(a, b) || first.Method != later.Method || first.Host != later.Host || first.Path != later.Path {
		return fmt.Errorf("got %s %s %s %v, want those of the first attempt: %s %s %s %v", later.Method, later.Host, later.Path, b, first.Method, first.Host, first.Path, a)
	}
	return nil
}

// hopByHop sends what concerns its own connection only (RFC 9110, section 7.6.1): no attempt has it.
func hopByHop(t *testing.T, w *weir, cluster string, u *upstream.Upstream) {
	const id = "hop-by-hop"
	a := w.raw("GET", strings.Join([]string{
		"GET /page HTTP/1.1", "Host: " + cluster, "Number: " + id, "Accept: text/html", "Accept: text/plain", "Cookie: a=1; b=2",
		"Connection: keep-alive", "Keep-Alive: timeout=5", "Proxy-Connection: keep-alive", "TE: deflate", "", "",
	}, "\r\n"))
	attempts := u.Attempts(numberHeader, id)
	if a.status != 200 || len(attempts) != 3 {
		t.Fatalf("%+v after %d attempts, want 200 after 3", a, len(attempts))
	}
	for i, attempt := range attempts {
		for _, hop := range []string{"connection", "keep-alive", "proxy-connection", "te", "upgrade", "transfer-encoding"} {
			if got := attempt.Header.Values(hop); len(got) > 0 {
				t.Errorf("attempt %d: got %s %q, want none", i+1, hop, got)
			}
		}
		if accepted := strings.Join(attempt.Header.Values("accept"), ","); accepted != "text/html,text/plain" || attempt.Header.Get("cookie") != "a=1; b=2" {
			t.Errorf("attempt %d: got headers %v, want those that were sent", i+1, attempt.Header)
		}
		if weirs := slices.DeleteFunc(slices.Collect(maps.Keys(attempt.Header)), func(name string) bool {
			return !strings.HasPrefix(name, "X-Weir-") && name != "X-Envoy-Max-Retries" && name != "X-Envoy-Retry-On"
		}); len(weirs) > 0 {
			t.Errorf("attempt %d: got headers that are between Weir and Envoy: %v, want none", i+1, weirs)
		}
		if err := sameHeaders(attempts[0], attempt); err != nil {
			t.Errorf("attempt %d: %v", i+1, err)
		}
	}
}

// refusedBeforeItsEnd: a attempt fails while the client still sends. What upstream gets then is the whole of it, or
// nothing.
func refusedBeforeItsEnd(t *testing.T, w *weir, cluster string, u *upstream.Upstream) {
	first, second := strings.Repeat("first", 100), strings.Repeat("second", 100)
	u.Refuse()
	reader, writer := io.Pipe()
	r, id := w.numberedRequest("PUT", cluster, "/")
	r.Body, r.ContentLength = reader, int64(len(first)+len(second))
	answered := make(chan answer, 1)
	go func() { answered <- w.do(r) }()
	if _, err := io.WriteString(writer, first); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		if w.Stats()["cluster."+cluster+".upstream_cx_connect_fail"] == 0 {
			return fmt.Errorf("got no refused connection")
		}
		return nil
	})
	u.Accept()
	_, err := io.WriteString(writer, second) // fails where the answer has come
	_ = writer.CloseWithError(err)
	a := <-answered
	attempts := u.Attempts(numberHeader, id)
	switch {
	case len(attempts) == 0 && a.status == 503:
	case len(attempts) == 1 && a.status == 200 && attempts[0].BodySHA256 == sha256.Sum256([]byte(first+second)):
	default:
		t.Errorf("got %+v after %d attempts: %+v", a, len(attempts), attempts)
	}
	t.Logf("%d after %d attempts that reached upstream", a.status, len(attempts))
}
