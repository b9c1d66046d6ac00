package host

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestOneLine(t *testing.T) {
	for _, tc := range []struct{ text, want string }{
		{"", ""},
		{`weir: aws: "limit" of 5 µs \\ reached`, `weir: aws: "limit" of 5 µs \\ reached`},
		{"redis: ERR a\nweir: forged", `redis: ERR a\nweir: forged`},
		{"\x1b[31mred\x1b[0m\r", `\x1b[31mred\x1b[0m\r`},
		{"a\u2028b\u202ec\u0085d", `a\u2028b\u202ec\u0085d`},
		{"\xff\xfe", `\xff\xfe`},
		{"\uFFFD stays", "\uFFFD stays"},
		{"\x00", `\x00`},
	} {
		if got := oneLine(tc.text); got != tc.want {
			t.Errorf("oneLine(%q) = %q, want %q", tc.text, got, tc.want)
		}
	}
}

func FuzzOneLine(f *testing.F) {
	f.Add("a\nb\x1b")
	f.Fuzz(func(t *testing.T, text string) {
		got := oneLine(text)
		if strings.ContainsAny(got, "\n\r\x1b\x00\x7f") || !utf8.ValidString(got) {
			t.Errorf("oneLine(%q) = %q, want one printable line", text, got)
		}
		if again := oneLine(got); again != got {
			t.Errorf("oneLine(%q) = %q, want it unchanged", got, again)
		}
	})
}
