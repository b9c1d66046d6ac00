package fallback

import "testing"

func TestNotModified(t *testing.T) {
	for _, tc := range []struct {
		ifNoneMatch, etag string
		want              bool
	}{
		{`"a"`, `"a"`, true},
		{`W/"a"`, `"a"`, true},
		{`"a"`, `W/"a"`, true},
		{`W/"a"`, `W/"a"`, true},
		{`"b"`, `"a"`, false},
		{`"b", "a"`, `"a"`, true},
		{"\"b\" ,\t\"a\" ", `"a"`, true},
		{`,"b",,W/"a",`, `"a"`, true},
		{`"a,b"`, `"a,b"`, true},
		{`"a,b"`, `"a"`, false},
		{`"x", "a,b"`, `"b"`, false},
		{`""`, `""`, true},
		{`"a\"`, `"a\"`, true}, // a backslash is one
		{`"A"`, `"a"`, false},
		{`*`, `"a"`, true},
		{` * `, ``, true},
		{`"b", *`, `"a"`, false},
		{`*, "b"`, `"a"`, false},
		{``, `"a"`, false},
		{``, ``, false},
		{`""`, ``, false},
		{`a`, `a`, false},
		{`a`, `"a"`, false},
		{`"a"`, `a`, false},
		{`"a"`, `"a" "b"`, false},
		{`"a"`, `"a`, false},
		{`"a`, `"a"`, false},
		{`w/"a"`, `"a"`, false},
		{`W/a`, `"a"`, false},
		{`"b" "a"`, `"a"`, false},
		{`"b"; "a"`, `"a"`, false},
	} {
		if got := NotModified(tc.ifNoneMatch, tc.etag); got != tc.want {
			t.Errorf("NotModified(%s, %s) = %v, want %v", tc.ifNoneMatch, tc.etag, got, !got)
		}
	}
}
