package fallback

import "testing"

func TestUnsafe(t *testing.T) {
	for want, methods := range map[bool][]string{
		true:  {"POST", "PUT", "DELETE", "PATCH", "PURGE", "get", "LOCK", "MKCOL"},
		false: {"GET", "HEAD", "OPTIONS", "TRACE", "PROPFIND", "REPORT", "SEARCH", "QUERY"},
	} {
		for _, method := range methods {
			if got := Unsafe(method); got != want {
				t.Errorf("Unsafe(%s) = %v, want %v", method, got, want)
			}
		}
	}
}

func TestInvalidates(t *testing.T) {
	for status, want := range map[int]bool{0: false, 199: false, 200: true, 201: true, 204: true, 303: true, 399: true, 400: false, 409: false, 500: false} {
		if got := Invalidates(status); got != want {
			t.Errorf("Invalidates(%d) = %v, want %v", status, got, want)
		}
	}
}

func TestInvalidatedPath(t *testing.T) {
	for _, tc := range []struct {
		authority, base, reference, want string // want "-": another host
	}{
		{"a.example", "/v1/orders", "https://a.example/v1/orders/7", "/v1/orders/7"},
		{"a.example", "/v1/orders", "HTTP://A.Example/v1/orders/7?x=1#y", "/v1/orders/7"},
		{"a.example:8080", "/", "http://a.example/b", "/b"},
		{"a.example", "/", "http://a.example:8080/b", "/b"},
		{"[::1]:80", "/", "http://[::1]/b", "/b"},
		{"[::1]", "/", "http://[::2]/b", "-"},
		{"a.example", "/v1", "http://a.example", "/"},
		{"a.example", "/v1", "http://a.example?x", "/"},
		{"a.example", "/v1", "//a.example/b", "/b"},
		{"a.example", "/v1", "//b.example/b", "-"},
		{"a.example", "/v1", "https://b.example/v1", "-"},
		{"a.example", "/v1", "https://a.example.evil/v1", "-"},
		{"a.example", "/v1", "ftp://a.example/v1", "-"},
		{"a.example", "/v1", "mailto:a@a.example", "-"},
		{"a.example", "/v1", "http:b", "-"},
		{"a.example", "/v1/orders", "/b?x", "/b"},
		{"a.example", "/v1/orders", "/a:b", "/a:b"},
		{"a.example", "/v1/orders", "7", "/v1/7"},
		{"a.example", "/v1/orders/", "7", "/v1/orders/7"},
		{"a.example", "/v1/orders/", "../7", "/v1/7"},
		{"a.example", "/v1/orders/", "./", "/v1/orders/"},
		{"a.example", "/v1/orders", "..", "/"},
		{"a.example", "/v1/orders", "/a/../../b/.", "/b/"},
		{"a.example", "/v1/orders", " /b ", "/b"},
		{"a.example", "/v1/orders", "?x=1", "/v1/orders"},
		{"a.example", "/v1/orders", "", "/v1/orders"},
		{"a.example", "/v1/orders", "/a//b", "/a//b"},
	} {
		got, ok := InvalidatedPath(tc.authority, tc.base, tc.reference)
		if !ok {
			got = "-"
		}
		if got != tc.want {
			t.Errorf("InvalidatedPath(%q, %q, %q) = %q, want %q", tc.authority, tc.base, tc.reference, got, tc.want)
		}
	}
}
