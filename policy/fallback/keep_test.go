package fallback

import (
	"slices"
	"testing"
)

func TestKeep(t *testing.T) {
	for _, name := range []string{
		"content-type", "content-encoding", "content-language", "content-disposition", "content-security-policy", "etag", "last-modified",
		"date", "expires", "cache-control", "vary", "access-control-allow-origin", "link", "x-custom", "via", "server", "request-identity",
	} {
		if !Keep(name) {
			t.Errorf("Keep(%q) = false, want true", name)
		}
	}
	for _, name := range []string{
		":status", "connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "content-length",
		"age", "warning", "set-cookie", "www-authenticate", "x-weir-source", "x_weir_source", "x-envoy-upstream-service-time",
		"x-request-id", "request-id", "x-amz-request-id", "traceparent", "tracestate", "x-b3-traceid", "server-timing",
		"ratelimit", "ratelimit-policy", "x-ratelimit-remaining", "x-rate-limit-reset", "retry-after", "alt-svc",
	} {
		if Keep(name) {
			t.Errorf("Keep(%q) = true, want false", name)
		}
	}
	var got []string
	Kept(answer("age", "7", "etag", `"a"`, "x-request-id", "1", "link", "<a>", "link", "<b>")).All(func(name, value string) bool {
		got = append(got, name+": "+value)
		return value != "<a>" // All must stop here
	})
	if want := []string{"content-type: application/json", "server: nginx", `etag: "a"`, "link: <a>"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestKeepNotModified(t *testing.T) {
	for name, want := range map[string]bool{
		"etag": true, "date": true, "vary": true, "cache-control": true, "expires": true, "content-location": true,
		"content-type": false, "content-encoding": false, "content-length": false, "x-custom": false,
	} {
		if got := KeepNotModified(name); got != want {
			t.Errorf("KeepNotModified(%q) = %v, want %v", name, got, !got)
		}
	}
}
