package e2e

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/weir-mesh/weir/e2e/engine"
	"github.com/weir-mesh/weir/e2e/upstream"
)

// TestCacheAttacks goes through what an attacker tries: to be answered with what upstream said to somebody else, and to
// make others be answered with what it said to him.
func TestCacheAttacks(t *testing.T) {
	if testing.Short() {
		t.Skip("one engine is enough for this")
	}
	t.Parallel()
	told := upstream.New(t)
	told.Set(upstream.Status(500).Body("sorry"))
	told.When(healthy, upstream.Func(respondByQuery))
	reflecting := upstream.New(t)
	reflecting.Set(upstream.Status(500).Body("sorry"))
	reflecting.When(healthy, upstream.Func(reflects))
	w := start(t, fmt.Sprintf(`
clusters:
  plain: {fallback: {%[1]s}}
  keyed: {fallback: {cache_key_headers: [Authorization, cookie, x-tenant, origin], %[1]s}}
  reflecting: {fallback: {%[1]s}}
  reflecting-keyed: {fallback: {cache_key_headers: [x-original-url], %[1]s}}
  lying: {fallback: {%[1]s}}
  grpc-lying: {fallback: {%[1]s}}
`, onMiss), map[string]*upstream.Upstream{
		"plain": told, "keyed": told, "reflecting": reflecting, "reflecting-keyed": reflecting,
		"lying": lyingUpstream(t), "grpc-lying": lyingOverHTTP2(t),
	})
	private(t, w)
	poison(t, w)
	w.WaitMetric("weir_faults_total", engine.Exactly(0))
}

// private: nothing that was for one is served to another.
func private(t *testing.T, w *weir) {
	t.Run("answers", func(t *testing.T) {
		w := w.in(t)
		for i, c := range []struct {
			header []string // of the answer
			stored bool
		}{
			{nil, true},
			{[]string{"cache-control", "public, max-age=60"}, true},
			{[]string{"cache-control", "max-age=60"}, true},
			{[]string{"cache-control", "no-transform"}, true},
			{[]string{"x-cache-control", "private"}, true},
			{[]string{"vary", "Accept-Encoding"}, true},
			{[]string{"access-control-allow-origin", "*"}, true},
			{[]string{"cache-control", "private"}, false},
			{[]string{"cache-control", "no-store"}, false},
			{[]string{"cache-control", "no-cache"}, false},
			{[]string{"cache-control", "must-revalidate"}, false},
			{[]string{"cache-control", "PRIVATE"}, false},
			{[]string{"cache-control", "No-Store"}, false},
			{[]string{"cache-control", " \tpublic ,,  \tno-store\t ,max-age=60"}, false},
			{[]string{"cache-control", "max-age=60,private"}, false},
			{[]string{"cache-control", `private="x-name"`}, false},
			{[]string{"cache-control", `no-cache="set-cookie, x-name"`}, false},
			{[]string{"cache-control", `ext="a, b\", c", private`}, false},
			{[]string{"cache-control", `ext="unended, private`}, false},
			{[]string{"cache-control", "max-age=60", "cache-control", "private"}, false},
			{[]string{"cache-control", "public", "cache-control", "", "cache-control", "no-store"}, false},
			{[]string{"cache-control", "private, public"}, false},
			{[]string{"cache-control", "private;max-age=60"}, false},
			{[]string{"set-cookie", "session=A"}, false},
			{[]string{"set-cookie", "session=A", "cache-control", "public, max-age=60"}, false},
			{[]string{"vary", "*"}, false},
			{[]string{"vary", "X-Tenant"}, false},
			{[]string{"vary", "accept-encoding, x-tenant"}, false},
			{[]string{"vary", "accept-encoding", "vary", "cookie"}, false},
			{[]string{"vary", "accept-encoding,*"}, false},
			{[]string{"access-control-allow-origin", "https://a.example"}, false},
		} {
			what := fmt.Sprint(c.header)
			path := queryPath(fmt.Sprintf("/answers/%d", i), 200, c.header...)
			body := fill(t, w.get("plain", path)).body
			if got := w.sendFailing("GET", "plain", path); c.stored {
				hit(t, what, got, "cache", body)
			} else {
				miss(t, what, got)
			}
		}
		for _, status := range []int{301, 302, 304, 307, 400, 401, 403, 404, 410, 429} {
			path := queryPath("/statuses", status)
			if a := w.get("plain", path); a.status != status || a.source() != "upstream" {
				t.Fatalf("status %d: got %+v, want it from upstream", status, a)
			}
			miss(t, fmt.Sprint(status), w.sendFailing("GET", "plain", path))
		}
	})
	t.Run("requests", func(t *testing.T) {
		w := w.in(t)
		for i, c := range []struct {
			a, b           []string // the headers of who fills the cache, and of who asks it
			stored, served bool     // what a said may be stored, and b may be answered by what somebody without headers stored
		}{
			{a: []string{"authorization", "Bearer A"}},
			{a: []string{"authorization", "Bearer A"}, b: []string{"authorization", "Bearer A"}},
			{a: []string{"authorization", "Bearer A"}, b: []string{"authorization", "Bearer B"}},
			{a: []string{"AUTHORIZATION", "basic QQ=="}},
			{a: []string{"authorization", ""}},
			{a: []string{"proxy-authorization", "Bearer A"}},
			{a: []string{"cookie", "session=A"}},
			{a: []string{"cookie", "session=A"}, b: []string{"cookie", "session=A"}},
			{a: []string{"cookie", "session=A"}, b: []string{"cookie", "session=B"}},
			{a: []string{"Cookie", "a=1", "Cookie", "session=A"}},
			{b: []string{"authorization", "Bearer B"}, stored: true},
			{b: []string{"cookie", "session=B"}, stored: true},
			{a: []string{"cache-control", "no-store"}, served: true},
			{a: []string{"cache-control", "max-age=0, No-Store"}, served: true},
			{a: []string{"cache-control", "max-age=60", "cache-control", "no-store"}, served: true},
			{a: []string{"cache-control", "no-cache"}, b: []string{"cache-control", "no-cache"}, stored: true, served: true},
			{a: []string{"x-lang", "de"}, b: []string{"x-lang", "en"}}, // neither listed as harmless nor in the key
			{a: []string{"sec-ch-ua", "a"}, b: []string{"sec-ch-ua", "b"}, stored: true, served: true},
		} {
			what := fmt.Sprintf("stored for %q, asked with %q", c.a, c.b)
			path := fmt.Sprintf("/requests/%d", i)
			fill(t, w.send("GET", "plain", path, c.a...))
			if stored := w.sendFailing("GET", "plain", path); c.stored {
				hit(t, what+", by somebody without", stored, "cache", says(path))
			} else {
				miss(t, what+", by somebody without", stored)
				miss(t, what, w.sendFailing("GET", "plain", path, c.b...))
			}
			// A request without any of that gets the shared entry, unless it has credentials.
			path += "/public"
			fill(t, w.get("plain", path))
			if len(c.b) == 0 {
				continue
			}
			if a := w.sendFailing("GET", "plain", path, c.b...); c.served {
				hit(t, what, a, "cache", says(path))
			} else {
				miss(t, what, a)
			}
		}
	})
	t.Run("each in the key gets only his own", func(t *testing.T) {
		w := w.in(t)
		for i, users := range [][][]string{
			{nil, {"authorization", "Bearer A"}, {"authorization", "Bearer B"}, {"authorization", "bearer A"}, {"authorization", "Bearer AA"}, {"authorization", ""}},
			{nil, {"cookie", "session=A"}, {"cookie", "session=B"}, {"cookie", "session=A; x=1"}, {"cookie", "x=1; session=A"}},
			{{"authorization", "A", "cookie", "B"}, {"authorization", "B", "cookie", "A"}, {"authorization", "AB"}, {"cookie", "AB"}, {"authorization", "A"}, {"cookie", "B"}},
			{{"x-tenant", "a"}, {"x-tenant", "b"}, {"x-tenant", "A"}, {"x-tenant", "a, b"}, {"x-tenant", "a,b"}, {"x-tenant", "b", "x-tenant", "a"}, {"x-tenant", ""}, nil},
		} {
			path := fmt.Sprintf("/users/%d", i)
			if i == 3 {
				path = queryPath(path, 200, "vary", "X-Tenant, accept-encoding")
			}
			// No request is answered by what others stored before it, and then each by its own.
			said := make([]string, len(users))
			for j, user := range users {
				miss(t, fmt.Sprintf("%q before he stored anything", user), w.sendFailing("GET", "keyed", path, user...))
				said[j] = fill(t, w.send("GET", "keyed", path, user...)).body
			}
			for j, user := range users {
				hit(t, fmt.Sprintf("%q", user), w.sendFailing("GET", "keyed", path, user...), "cache", said[j])
				hit(t, fmt.Sprintf("HEAD %q", user), w.sendFailing("HEAD", "keyed", path, user...), "cache", "")
			}
		}
		// Being in the key makes nothing public that upstream calls private.
		for i, header := range [][]string{{"cache-control", "private"}, {"cache-control", "no-store"}, {"set-cookie", "session=A"}, {"vary", "*"}, {"vary", "x-other"}} {
			path := queryPath(fmt.Sprintf("/users/private/%d", i), 200, header...)
			fill(t, w.send("GET", "keyed", path, "authorization", "Bearer A"))
			miss(t, fmt.Sprint(header), w.sendFailing("GET", "keyed", path, "authorization", "Bearer A"))
		}
	})
}

// TestCacheKeyConfusion asks for one thing right after another was stored, where the two differ in what a sloppy key
// would lose. Envoy is told to leave paths as they are and to take long ones.
func TestCacheKeyConfusion(t *testing.T) {
	if testing.Short() {
		t.Skip("one engine is enough for this")
	}
	t.Parallel()
	u := upstream.New(t)
	u.Set(upstream.Status(500).Body("sorry"))
	u.When(healthy, upstream.Func(echoKey))
	w := startWith(t, options(t, fmt.Sprintf(`
clusters:
  keys: {fallback: {cache_key_headers: [x-a, x-b], %[1]s}}
`, onMiss), map[string]*upstream.Upstream{"keys": u}), func(b *bootstrapv3.Bootstrap) {
		changeManager(t, b, func(m *hcmv3.HttpConnectionManager) {
			m.NormalizePath, m.MergeSlashes = wrapperspb.Bool(false), false
			m.PathWithEscapedSlashesAction = hcmv3.HttpConnectionManager_KEEP_UNCHANGED
			m.MaxRequestHeadersKb = wrapperspb.UInt32(96)
		})
	})
	long := strings.Repeat("a/b", 50<<10/3)
	longer := strings.Repeat("abcd", 64<<10/4)
	// Each line is a family of requests that are easily taken for one another: a target and, behind |, header lines.
	for _, family := range [][]string{
		{"/k/a", "/K/a", "/k/A", "/k/%61", "/k/%41", "/k%2fa", "/k%2Fa", "/k/a/", "/k/a//", "//k/a", "/k//a", "/k/./a", "/k/b/../a", "/k/a/.", "/./k/a", "/../k/a", "/k/a;x=1", "/k/a%3b", "/k/a%00", "/k/a%20", "/k/a+", "/k/a.", `/k\a`, "/k/a%23b", "/k/a%3Fx"},
		{"/q", "/q?", "/q??", "/q?x=1&y=2", "/q?y=2&x=1", "/q?x=1&y=2&", "/q?x=1&&y=2", "/q?X=1&y=2", "/q?x=1;y=2", "/q?x=1%26y=2", "/q?x=1&y=%32", "/q?x=1+2", "/q?x=1%202", "/q%3fx=1&y=2", "/q?x=1&x=2", "/q?x=2&x=1", "/q?x=1,2", "/q?utm_source=x"},
		{"/h", "/h|x-a: ", "/h|x-a: 1", "/h|x-b: 1", "/h|x-a: 1\r\nx-b: 2", "/h|x-a: 2\r\nx-b: 1", "/h|x-a: 12", "/h|x-b: 12", "/h|x-a: 1, 2", "/h|x-a: 1,2", "/h|x-a: 1\r\nx-a: 2", "/h|x-a: 2\r\nx-a: 1", "/h|x-a: 1\r\nx-a: 2\r\nx-a: 3", "/h|x-a: 1\r\nx-a: 2,3", "/h|x-a: x-b: 1", "/h|x-a: 1; x-b=2", "/h|x-a: 1|x-b: 2", "/h|x-a: \"1", "/h|x-a: 1\t2", "/h|x-a: 1 2", "/h|x-a: 1  2", "/h|x-a: \x80", "/h|x-a: \xff", "/h?x-a=1", "/hx-a: 1"},
		{"/host", "/host|HOST=keys:80", "/host|HOST=keys:8080", "/host|HOST=KEYS", "/host|HOST=Keys:80", "http://keys/host", "http://keys:80/host", "http://KEYS/host", "http://keys:81/host", "https://keys/host"},
		{"/" + long, "/" + long + "c", "/" + long + "?", "/" + long[:len(long)-1] + "B", "/" + longer, "/" + longer + "e", "/" + longer + "?e"},
	} {
		served := 0
		for i, one := range family {
			for j, other := range family {
				apart := max(i, j) - min(i, j)
				if apart == 0 || apart > 2 && ((i+j)%7 != 0 || len(one) > 1000) {
					continue // neighbours, and a seventh of the other pairs: enough
				}
				// A place of its own for each pair: nothing from another pair is in the way.
				pair := fmt.Sprintf("pair=%d-%d", i, j)
				stored := w.raw("GET", keyRequest(one, pair, false))
				asked := w.raw("GET", keyRequest(other, pair, true))
				truth := w.raw("GET", keyRequest(other, pair, false))
				what := fmt.Sprintf("%.80q stored, %.80q asked", one, other)
				if asked.source() == "cache" && asked.body != truth.body {
					t.Errorf("%s: got %.200q from the cache, want its own response %.200q", what, asked.body, truth.body)
				}
				if apart > 1 {
					continue
				}
				own := w.raw("GET", keyRequest(one, pair, true))
				if stored.status == 200 {
					hit(t, fmt.Sprintf("%.80q", one), own, "cache", stored.body)
					served++
				} else if own.source() == "cache" {
					t.Errorf("%.80q: got %d refused, and then served from the cache", one, stored.status)
				}
			}
		}
		if served < len(family) {
			t.Errorf("%.80q …: only %d requests were stored and served at all", family[0], served)
		}
	}
	w.WaitMetric("weir_faults_total", engine.Exactly(0))
}

// keyRequest writes a request for a target, behind which header lines may stand, and HOST=… for another host. The pair
// makes it different from all other pairs: it is a value of the key's last header, so that it can't be confused itself.
func keyRequest(target, pair string, fail bool) string {
	target, lines, _ := strings.Cut(target, "|")
	host := "keys"
	if other, ok := strings.CutPrefix(lines, "HOST="); ok {
		host, lines = other, ""
	}
	text := "GET " + target + " HTTP/1.1\r\nhost: " + host + "\r\nconnection: close\r\n"
	if lines != "" {
		text += lines + "\r\n"
	}
	text += "x-b: " + pair + "\r\n"
	if fail {
		text += failHeader + ": 500\r\n"
	}
	return text + "\r\n"
}

// echoKey answers with all parts of the cache key, or with their hash when they are long.
func echoKey(rw http.ResponseWriter, r *http.Request) {
	said, err := json.Marshal([]any{r.Host, r.RequestURI, r.Header.Values("x-a"), r.Header.Values("x-b")})
	if err != nil {
		http.Error(rw, err.Error(), http.StatusInternalServerError)
		return
	}
	if len(said) > 1000 {
		said = fmt.Appendf(nil, "%x", sha256.Sum256(said))
	}
	_, _ = rw.Write(said)
}

// says is the body that respondByQuery sends to a request without credentials.
func says(path string) string { return "of " + path + " for nobody" }

// respondByQuery answers with the status and the headers in the query, and with the identity of the client.
func respondByQuery(rw http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	for _, line := range query["header"] {
		name, value, _ := strings.Cut(line, ":")
		rw.Header().Add(name, value)
	}
	status := http.StatusOK
	if _, err := fmt.Sscan(query.Get("status"), &status); err != nil && query.Has("status") {
		status = http.StatusInternalServerError
	}
	who := "nobody"
	if names := credentials(r); len(names) > 0 {
		who = strings.Join(names, ", ")
	}
	rw.WriteHeader(status)
	if status != http.StatusNotModified {
		_, _ = io.WriteString(rw, "of "+r.URL.Path+" for "+who)
	}
}

func credentials(r *http.Request) (names []string) {
	for name, values := range r.Header {
		if slices.Contains([]string{"Authorization", "Proxy-Authorization", "Cookie", "X-Tenant"}, name) {
			names = append(names, fmt.Sprintf("%s %q", name, values))
		}
	}
	slices.Sort(names)
	return names
}

// queryPath is a path with a query for respondByQuery.
func queryPath(path string, status int, header ...string) string {
	query := fmt.Sprintf("%s?status=%d", path, status)
	for name, value := range pairs(header) {
		query += "&header=" + strings.NewReplacer(" ", "%20", "\t", "%09", `"`, "%22", "\\", "%5C", ";", "%3B", "*", "%2A", "=", "%3D", ",", "%2C").Replace(name+":"+value)
	}
	return query
}

// changeManager lets a test change the HTTP connection manager of the first listener.
func changeManager(t *testing.T, b *bootstrapv3.Bootstrap, change func(*hcmv3.HttpConnectionManager)) {
	t.Helper()
	filter := b.GetStaticResources().GetListeners()[0].GetFilterChains()[0].GetFilters()[0]
	var hcm hcmv3.HttpConnectionManager
	if err := filter.GetTypedConfig().UnmarshalTo(&hcm); err != nil {
		t.Fatal(err)
	}
	change(&hcm)
	config, err := anypb.New(&hcm)
	if err != nil {
		t.Fatal(err)
	}
	filter.GetTypedConfig().Reset()
	filter.GetTypedConfig().TypeUrl, filter.GetTypedConfig().Value = config.GetTypeUrl(), config.GetValue()
}
