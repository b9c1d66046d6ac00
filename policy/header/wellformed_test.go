package header

import "testing"

func TestIsPlainPath(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]bool{
		"/": true, "/a/b.c~d-e_f": true, "/%41%fF": true, "/a?b=c&d=%20": true, "/a;b=(c)!$'*+,@:": true, "*": true, "//": true,
		"": false, "a": false, "?a": false, "/%": false, "/%4": false, "/%zz": false, "/%4z": false, "/?a=%z1": false,
		"/a b": false, "/\x7f": false, "/\u00e4": false, "/\"": false, "/{}": false, "/a#b": false, "/[": false, "/\\": false, "**": false,
	} {
		if got := IsPlainPath(path); got != want {
			t.Errorf("IsPlainPath(%q) = %v, want %v", path, got, want)
		}
	}
}

func TestIsPlainAuthority(t *testing.T) {
	t.Parallel()
	for authority, want := range map[string]bool{
		"up": true, "Api.example.com:8080": true, "127.0.0.1": true, "[::1]:80": true, "a_b-c": true,
		"": false, "a b": false, "h%zz": false, "user@host": false, "a,b": false, "h/": false, "\u00e4": false,
	} {
		if got := IsPlainAuthority(authority); got != want {
			t.Errorf("IsPlainAuthority(%q) = %v, want %v", authority, got, want)
		}
	}
}
