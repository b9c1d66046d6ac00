package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/weir-mesh/weir/e2e/engine"
	"github.com/weir-mesh/weir/e2e/upstream"
)

// TestCacheHTTP: what HTTP's rules make of stored answers: methods, conditions, ages, codings, bodies in pieces and
// bodies that break off.
func TestCacheHTTP(t *testing.T) {
	t.Parallel()
	made, ages := time.Now(), ageCases()
	answers := map[string]upstream.Behaviour{
		"/page":     upstream.Body("a page").Header("etag", `W/"v1"`).Header("x-multi", "1").Header("x-multi", "2").Header("content-type", "text/x-page"),
		"/stayed":   upstream.Body("a page"),
		"/head":     upstream.Body("a page"),
		"/strong":   upstream.Body("a page").Header("etag", `"v1"`),
		"/no-etag":  upstream.Body("a page"),
		"/perhop":   upstream.Body("a page").Header("keep-alive", "timeout=5").Header("x-weir-degraded-mode", "true").Header("x-request-id", "7").Header("retry-after", "9"),
		"/named":    upstream.Body("a page").Header("connection", "x-hop").Header("x-hop", "1"),
		"/204":      upstream.Status(204).Header("x-a", "b"),
		"/203":      upstream.Status(203).Body("transformed"),
		"/206":      upstream.Status(206).Body("a pa").Header("content-range", "bytes 0-3/6"),
		"/range":    upstream.Body("a page").Header("accept-ranges", "bytes"),
		"/posted":   upstream.Body("a page"),
		"/vary":     upstream.Func(gzipIfAccepted),
		"/unvaried": upstream.Body(string(gzipped("packed"))).Header("content-encoding", "gzip"),
		"/unknown":  upstream.Body("???").Header("content-encoding", "x-rot13"),
		"/twice":    upstream.Body("???").Header("content-encoding", "gzip, br"),
		"/half":     upstream.HalfBody(1000),
	}
	for i, c := range ages {
		b := upstream.Body("aged")
		for name, value := range pairs(c.header) {
			b = b.Header(name, value)
		}
		answers[agePath(i)] = b
	}
	u := answering(t, answers)
	u.When(upstream.Header(failHeader, "half"), upstream.HalfBody(10))
	h2 := answering(t, map[string]upstream.Behaviour{
		"/trailers": upstream.Func(withTrailers),
		"/plain":    upstream.Body("over HTTP/2"),
		"/grpc":     upstream.GRPC(0, false).Body(""),
	})
	grpc := upstream.New(t)
	grpc.Script(upstream.GRPC(0, true), upstream.GRPC(14, true))
	w := start(t, fmt.Sprintf(`
clusters:
  http: {fallback: {%[1]s}}
  bounded: {fallback: {max_body_bytes: 1000, %[1]s}}
  grpc-http: {fallback: {%[1]s}}
  grpc-calls: {fallback: {%[1]s}}
`, onMiss), map[string]*upstream.Upstream{"http": u, "bounded": boundedUpstream(t), "grpc-http": h2, "grpc-calls": grpc})

	t.Run("HEAD is answered by what a GET stored", func(t *testing.T) {
		w := w.in(t)
		fill(t, w.get("http", "/page"))
		get, head := w.sendFailing("GET", "http", "/page"), w.sendFailing("HEAD", "http", "/page")
		hit(t, "GET", get, "cache", "a page")
		hit(t, "HEAD", head, "cache", "")
		for _, a := range []answer{get, head} {
			if a.status != 200 || a.header.Get("etag") != `W/"v1"` || a.header.Get("content-type") != "text/x-page" || !slices.Equal(a.header.Values("x-multi"), []string{"1", "2"}) {
				t.Errorf("got status %d and headers %v, want 200 with the stored ones", a.status, a.header)
			}
		}
		if length := head.header.Get("content-length"); length != "" && length != "6" {
			t.Errorf("HEAD: got content-length %s, want 6 or none", length)
		}
		if length := get.header.Get("content-length"); length != "6" {
			t.Errorf("GET: got content-length %s, want 6", length)
		}
	})
	t.Run("GET is not answered by what a HEAD stored", func(t *testing.T) {
		w := w.in(t)
		fill(t, w.send("HEAD", "http", "/head"))
		miss(t, "GET", w.sendFailing("GET", "http", "/head"))
	})
	t.Run("other methods neither store nor are answered", func(t *testing.T) {
		w := w.in(t)
		fill(t, w.send("POST", "http", "/posted"))
		miss(t, "GET after a POST", w.sendFailing("GET", "http", "/posted"))
		fill(t, w.get("http", "/posted"))
		for _, method := range []string{"POST", "PUT", "DELETE", "PATCH", "OPTIONS"} {
			if a := w.sendFailing(method, "http", "/posted"); a.status != 500 || a.source() != "degraded" {
				t.Errorf("%s: got %+v, want 500 from degraded mode", method, a)
			}
		}
		hit(t, "GET", w.sendFailing("GET", "http", "/posted"), "cache", "a page")
	})
	t.Run("if-none-match", func(t *testing.T) {
		w := w.in(t)
		for path, etag := range map[string]string{"/page": `W/"v1"`, "/strong": `"v1"`} {
			fill(t, w.get("http", path))
			for _, value := range []string{etag, `"v1"`, `W/"v1"`, `"v0", W/"v1"`, `"a,b" ,"v1"`, `*`} {
				for _, method := range []string{"GET", "HEAD"} {
					what := method + " " + path + " if-none-match " + value
					a := w.sendFailing(method, "http", path, "if-none-match", value)
					hit(t, what, a, "cache", "")
					if a.status != 304 || a.header.Get("etag") != etag {
						t.Errorf("%s: %d %v, want 304", what, a.status, a.header)
					}
				}
			}
			for _, value := range []string{`"v2"`, `v1`, `"V1"`, `"v1`, `"v0, v1"`, `W/v1`, ``} {
				a := w.sendFailing("GET", "http", path, "if-none-match", value)
				hit(t, "if-none-match "+value, a, "cache", "a page")
				if a.status != 200 {
					t.Errorf("if-none-match %s: %d, want 200", value, a.status)
				}
			}
		}
		fill(t, w.get("http", "/no-etag"))
		if a := w.sendFailing("GET", "http", "/no-etag", "if-none-match", `"v1"`); a.status != 200 || a.body != "a page" {
			t.Errorf("if-none-match, no etag stored: got %+v, want status 200 and the page", a)
		}
		if a := w.sendFailing("GET", "http", "/nothing-stored", "if-none-match", "*"); a.status != 200 || a.body != missed {
			t.Errorf("if-none-match, nothing stored: got %+v, want status 200 and the default data", a)
		}
	})
	t.Run("statuses", func(t *testing.T) {
		w := w.in(t)
		for path, body := range map[string]string{"/204": "", "/203": "transformed"} {
			want := fill(t, w.get("http", path))
			a := w.sendFailing("GET", "http", path)
			hit(t, path, a, "cache", body)
			if a.status != want.status || a.header.Get("x-a") != want.header.Get("x-a") {
				t.Errorf("%s: %+v, want %+v", path, a, want)
			}
		}
		fill(t, w.send("GET", "http", "/206", "range", "bytes=0-3"))
		miss(t, "206 for a range", w.sendFailing("GET", "http", "/206", "range", "bytes=0-3"))
		miss(t, "206 for the whole", w.sendFailing("GET", "http", "/206"))
		// What is whole may answer a range: a server may ignore it (RFC 9110, section 14.2).
		fill(t, w.get("http", "/range"))
		if a := w.sendFailing("GET", "http", "/range", "range", "bytes=0-3"); a.status == 206 || a.body != "a page" && a.body != missed {
			t.Errorf("range of a stored response: got %+v, want no 206, and the page or the default data", a)
		}
	})
	t.Run("headers of one hop and one request are not kept", func(t *testing.T) {
		w := w.in(t)
		fill(t, w.get("http", "/perhop"))
		a := w.sendFailing("GET", "http", "/perhop")
		hit(t, "GET", a, "cache", "a page")
		for name := range a.header {
			if slices.Contains([]string{"Keep-Alive", "X-Weir-Degraded-Mode", "X-Request-Id", "Retry-After"}, name) {
				t.Errorf("%s was stored: got %q, want none", name, a.header[name])
			}
		}
		fill(t, w.get("http", "/named"))
		if a := w.sendFailing("GET", "http", "/named"); a.header.Get("x-hop") != "" {
			t.Errorf("a header that `connection` names was stored: got %+v, want no x-hop", a)
		}
	})
	t.Run("ages", func(t *testing.T) {
		w := w.in(t)
		for i, c := range ages {
			what := fmt.Sprint(c.header)
			fill(t, w.get("http", agePath(i)))
			a := w.sendFailing("GET", "http", agePath(i))
			if c.source == "" {
				miss(t, what, a)
				continue
			}
			hit(t, what, a, c.source, "aged")
			// A Date in it was made when the test began, and is of whole seconds.
			if got, most := age(a), c.age+int(time.Since(made)/time.Second)+2; got < c.age || got > most {
				t.Errorf("%s: age %d, want %d to %d", what, got, c.age, most)
			}
		}
	})
	t.Run("codings", func(t *testing.T) {
		w := w.in(t)
		packed, plain := string(gzipped("packed")), "plain"
		for _, accept := range []string{"gzip", "br", ""} {
			fill(t, w.send("GET", "http", "/vary", "accept-encoding", accept))
		}
		fill(t, w.send("GET", "http", "/unvaried", "accept-encoding", "gzip"))
		fill(t, w.send("GET", "http", "/unknown", "accept-encoding", "x-rot13, gzip"))
		fill(t, w.send("GET", "http", "/twice", "accept-encoding", "gzip, br"))
		for _, c := range []struct {
			accept      string // "-": none
			gzip, plain bool   // what it may be served
		}{
			{"gzip", true, true},
			{"GZIP", true, true},
			{"x-gzip", true, true},
			{"br, gzip;q=0.1", true, true},
			{"br;q=1.0, *;q=0.5", true, true},
			{"gzip, identity;q=0", true, false},
			{"-", false, true},
			{"", false, true},
			{"identity", false, true},
			{"br", false, true},
			{"gzip;q=0", false, true},
			{"gzip; q=0.000, *", false, true},
			{"*;q=0, identity", false, true},
			{"not-gzip", false, true},
			{"gzipped", false, true},
		} {
			var headers []string
			if c.accept != "-" {
				headers = []string{"accept-encoding", c.accept}
			}
			for path, both := range map[string]bool{"/vary": true, "/unvaried": false} {
				what := path + " accept-encoding " + c.accept
				bodies := map[string]string{} // that it may get, by content-encoding
				if c.gzip {
					bodies["gzip"] = packed
				}
				if c.plain && both {
					bodies[""] = plain
				}
				a := w.sendFailing("GET", "http", path, headers...)
				body, may := bodies[a.header.Get("content-encoding")]
				switch {
				case len(bodies) == 0:
					miss(t, what, a)
				case may:
					hit(t, what, a, "cache", body)
				default:
					t.Errorf("%s: got content-encoding %q, want one that the request accepts, in %+v", what, a.header.Get("content-encoding"), a)
				}
			}
			for _, path := range []string{"/unknown", "/twice"} {
				miss(t, path+" accept-encoding "+c.accept, w.sendFailing("GET", "http", path, headers...))
			}
		}
	})
	t.Run("bodies up to the bound", func(t *testing.T) {
		w := w.in(t)
		for _, c := range boundCases() {
			want := fill(t, w.get("bounded", c.path))
			if want.body != c.body {
				t.Fatalf("%s: upstream's %d bytes came as %d", c.path, len(c.body), len(want.body))
			}
			a := w.sendFailing("GET", "bounded", c.path)
			if len(c.body) <= 1000 {
				hit(t, c.path, a, "cache", c.body)
			} else {
				miss(t, c.path, a)
			}
		}
	})
	t.Run("a failure after the first byte passes as it is", func(t *testing.T) {
		w := w.in(t)
		fill(t, w.get("http", "/strong"))
		a := w.send("GET", "http", "/strong", failHeader, "half")
		if a.err == nil || a.status != 200 || a.source() != "upstream" || a.body != strings.Repeat("x", 10) || a.header.Get("x-weir-fallback-used") != "" {
			t.Errorf("%+v, want upstream's ten bytes, broken off", a)
		}
		hit(t, "afterwards", w.sendFailing("GET", "http", "/strong"), "cache", "a page")
	})
	t.Run("a body that breaks off is not stored", func(t *testing.T) {
		w := w.in(t)
		if a := w.get("http", "/half"); a.err == nil {
			t.Fatalf("%+v, want it broken off", a)
		}
		miss(t, "afterwards", w.sendFailing("GET", "http", "/half"))
	})
	t.Run("a client that leaves within a body stores nothing of it", func(t *testing.T) {
		w := w.in(t)
		u.When(asked("/left"), upstream.Func(longThenNothing))
		// Of 60 KB each, these are more than the filter copies at one time (4 MB for each worker).
		for range 200 {
			w.leaveWithin("http", "/left", len("beginning"))
		}
		u.WaitClientsGone(200)
		miss(t, "afterwards", w.sendFailing("GET", "http", "/left"))
		fill(t, w.get("http", "/stayed"))
		hit(t, "somebody who stays", w.sendFailing("GET", "http", "/stayed"), "cache", "a page")
	})
	t.Run("trailers and gRPC are not stored", func(t *testing.T) {
		w := w.in(t)
		fill(t, w.get("grpc-http", "/plain"))
		hit(t, "over HTTP/2", w.sendFailing("GET", "grpc-http", "/plain"), "cache", "over HTTP/2")
		for _, path := range []string{"/trailers", "/grpc"} {
			fill(t, w.get("grpc-http", path))
			miss(t, path, w.sendFailing("GET", "grpc-http", path))
		}
		for _, want := range []codes.Code{codes.OK, codes.Unavailable, codes.Unavailable} {
			if got := status.Code(w.grpc("grpc-calls")); got != want {
				t.Errorf("a gRPC call: %v, want %v", got, want)
			}
		}
	})
	w.WaitMetric("weir_faults_total", engine.Exactly(0))
}
