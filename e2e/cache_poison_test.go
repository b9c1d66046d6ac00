package e2e

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/weir-mesh/weir/e2e/upstream"
)

// lyingUpstream sends false lengths of its responses.
func lyingUpstream(t *testing.T) *upstream.Upstream {
	t.Helper()
	const head = "HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\n"
	return answering(t, map[string]upstream.Behaviour{
		"/more/fin":    upstream.Raw(head + "content-length: 1000\r\n\r\nhello"),
		"/more/rst":    upstream.HalfBody(500),
		"/more/none":   upstream.Raw(head + "content-length: 5\r\n\r\n"),
		"/chunk/fin":   upstream.Raw(head + "transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n"),
		"/chunk/half":  upstream.Raw(head + "transfer-encoding: chunked\r\n\r\n50\r\nhello"),
		"/chunk/bad":   upstream.Raw(head + "transfer-encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n"),
		"/chunk/last":  upstream.Raw(head + "transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n"),
		"/less":        upstream.Raw(head + "content-length: 5\r\n\r\nhello, and more than that"),
		"/second":      upstream.Raw(head + "content-length: 5\r\n\r\nhello" + head + "content-length: 4\r\n\r\nevil"),
		"/both":        upstream.Raw(head + "content-length: 100\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
		"/two":         upstream.Raw(head + "content-length: 5\r\ncontent-length: 3\r\n\r\nhello"),
		"/negative":    upstream.Raw(head + "content-length: -5\r\n\r\nhello"),
		"/no-response": upstream.Raw("hello"),
		"/honest":      upstream.Body("honest"),
	})
}

// lyingOverHTTP2 does so over HTTP/2.
func lyingOverHTTP2(t *testing.T) *upstream.Upstream {
	t.Helper()
	return answering(t, map[string]upstream.Behaviour{
		"/more":   upstream.Short(1000, "hello"),
		"/less":   upstream.Short(3, "hello"),
		"/rst":    upstream.HalfBody(500),
		"/honest": upstream.Body("honest"),
	})
}

// poison: what one client makes upstream say by what is not in the key, nobody else gets; and what a lying upstream
// says of a body's length does not get half a body, or two answers for one, into the cache. James Kettle, Practical Web
// Cache Poisoning, https://portswigger.net/research/practical-web-cache-poisoning
func poison(t *testing.T, w *weir) {
	t.Run("headers that are not in the key", func(t *testing.T) {
		w := w.in(t)
		for i, header := range [][]string{
			{"X-Forwarded-Host", "evil"},
			{"x-forwarded-host", "", "x-forwarded-host", "evil"},
			{"X-Host", "evil"},
			{"X-Forwarded-Server", "evil"},
			{"X-Original-Host", "evil"},
			{"X-Forwarded-Scheme", "evil"},
			{"X-Forwarded-Prefix", "/evil"},
			{"X-Forwarded-Port", "666"},
			{"Forwarded", "host=evil"},
			{"X-Original-URL", "/evil"},
			{"X-Rewrite-URL", "/evil"},
			{"X-HTTP-Method-Override", "POST"},
			{"X-HTTP-Method", "POST"},
			{"X-Method-Override", "DELETE"},
		} {
			what, path := fmt.Sprint(header), fmt.Sprintf("/%d", i)
			evil := fill(t, w.send("GET", "reflecting", path, header...)).body
			if evil == "nothing" {
				t.Fatalf("%s: upstream got nothing of the attack, so this test shows nothing", what)
			}
			miss(t, what, w.sendFailing("GET", "reflecting", path))
			fill(t, w.get("reflecting", path))
			hit(t, what, w.sendFailing("GET", "reflecting", path), "cache", "nothing")
			// The client that sends it may get upstream's response to just such a request, or nothing.
			if a := w.sendFailing("GET", "reflecting", path, header...); a.source() == "cache" && a.body != evil || a.source() != "cache" && a.body != missed {
				t.Errorf("%s, to the client that sends it: got %+v, want its own response or the default data", what, a)
			}
		}
		// In the key, each has its own.
		fill(t, w.send("GET", "reflecting-keyed", "/", "X-Original-URL", "/evil"))
		fill(t, w.get("reflecting-keyed", "/"))
		hit(t, "with x-original-url", w.sendFailing("GET", "reflecting-keyed", "/", "X-Original-URL", "/evil"), "cache", "/evil")
		hit(t, "without x-original-url", w.sendFailing("GET", "reflecting-keyed", "/"), "cache", "nothing")
	})
	t.Run("a body on a GET", func(t *testing.T) {
		w := w.in(t)
		for path, body := range map[string]string{
			"/fat/stated":  "content-length: 4\r\n\r\nevil",
			"/fat/chunked": "transfer-encoding: chunked\r\n\r\n4\r\nevil\r\n0\r\n\r\n",
		} {
			head := "GET " + path + " HTTP/1.1\r\nhost: reflecting\r\nconnection: close\r\n"
			if a := fill(t, w.raw("GET", head+body)); !strings.Contains(a.body, "evil") {
				t.Fatalf("%s: upstream got nothing of the attack: %+v", path, a)
			}
			miss(t, path, w.sendFailing("GET", "reflecting", path))
			fill(t, w.get("reflecting", path))
			hit(t, path, w.sendFailing("GET", "reflecting", path), "cache", "nothing")
			miss(t, path+", asked with a body", w.raw("GET", head+failHeader+": 500\r\n"+body))
		}
	})
	t.Run("an upstream that lies about lengths", func(t *testing.T) {
		w := w.in(t)
		for path, whole := range map[string]string{ // what HTTP makes of it; "": it is broken
			"/more/fin": "", "/more/rst": "", "/more/none": "", "/chunk/fin": "", "/chunk/half": "", "/chunk/bad": "", "/chunk/last": "",
			"/less": "hello", "/second": "hello", "/both": "", "/two": "", "/negative": "", "/no-response": "",
		} {
			for range 3 {
				a := w.get("lying", path)
				if a.source() == "upstream" && a.err == nil && (whole == "" || a.body != whole) {
					t.Logf("%s: Envoy passes %q as whole", path, a.body)
				}
				if a := w.sendFailing("GET", "lying", path); a.source() != "cache" || whole == "" || a.body != whole {
					miss(t, path, a)
				}
				// What came behind one answer is not taken for the next one.
				if a := fill(t, w.get("lying", "/honest")); a.body != "honest" {
					t.Errorf("after %s: got %+v, want body honest", path, a)
				}
				hit(t, "after "+path, w.sendFailing("GET", "lying", "/honest"), "cache", "honest")
			}
		}
	})
	t.Run("an upstream that lies about lengths over HTTP/2", func(t *testing.T) {
		w := w.in(t)
		for _, path := range []string{"/more", "/less", "/rst"} {
			for range 2 {
				if a := w.get("grpc-lying", path); a.err == nil && a.source() == "upstream" {
					t.Logf("%s: Envoy passes %q as whole", path, a.body)
				}
				miss(t, path, w.sendFailing("GET", "grpc-lying", path))
			}
		}
		fill(t, w.get("grpc-lying", "/honest"))
		hit(t, "honest", w.sendFailing("GET", "grpc-lying", "/honest"), "cache", "honest")
	})
	t.Run("a path beyond Envoy's bound", func(t *testing.T) {
		w := w.in(t)
		long := "/" + strings.Repeat("p", 50<<10)
		fill(t, w.get("reflecting", long))
		hit(t, "50 KB", w.sendFailing("GET", "reflecting", long), "cache", "nothing")
		miss(t, "50 KB and a byte", w.sendFailing("GET", "reflecting", long+"p"))
		if a := w.sendFailing("GET", "reflecting", "/"+strings.Repeat("p", 64<<10)); a.status != 431 || a.source() != "" {
			t.Errorf("64 KB: %+v, want Envoy's own 431", a)
		}
	})
}

// reflects answers with what a client may make an upstream say by what is not in a cache's key.
func reflects(rw http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(rw, err.Error(), http.StatusBadRequest)
		return
	}
	said := string(body)
	for _, name := range []string{
		"X-Forwarded-Host", "X-Host", "X-Forwarded-Server", "X-Original-Host", "X-Forwarded-Scheme", "X-Forwarded-Prefix", "X-Forwarded-Port",
		"Forwarded", "X-Original-Url", "X-Rewrite-Url", "X-Http-Method-Override", "X-Http-Method", "X-Method-Override",
	} {
		said += strings.Join(r.Header.Values(name), "")
	}
	if said == "" {
		said = "nothing"
	}
	_, _ = io.WriteString(rw, said)
}
