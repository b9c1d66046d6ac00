package visible

import (
	"strconv"
	"testing"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestQuote(t *testing.T) {
	for _, row := range []struct{ text, want string }{
		{"", `""`},
		{"aws_pricing", `"aws_pricing"`},
		{`a"b\c'd`, `"a\"b\\c'd"`},
		{"a\nb\r\t\x1b[31m\x00", `"a\nb\r\t\x1b[31m\x00"`},
		{"ü日本€", `"ü日本€"`},
		{"a\u202eb", `"a\u202eb"`},
		{"a\u200b\u00ad\ufeff", `"a\u200b\u00ad\ufeff"`},
		{"\x80\xff\xc3", `"\x80\xff\xc3"`},
		{"\u0085\u2028", `"\u0085\u2028"`},
		{"\U000e0041", `"\U000e0041"`},
		{"\ufffd\v", "\"\ufffd\\v\""},
	} {
		if got := Quote(row.text); got != row.want {
			t.Errorf("%x: got %s, want %s", row.text, got, row.want)
		}
	}
	if got, want := string(Append(nil, "a\"\\\n", 0)), `a"\\n`; got != want {
		t.Errorf("without quotes: got %s, want %s", got, want)
	}
}

// TestReadAgain: Go reads each quoted text as what it was.
func TestReadAgain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := string(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes")) + rapid.String().Draw(t, "text")
		if got, err := strconv.Unquote(Quote(text)); err != nil || got != text {
			t.Errorf("%s: got %q (%v), want %q", Quote(text), got, err, text)
		}
	})
}

// TestHiddenCharacters: whatever strconv takes for not printable of the first plane's marks and controls is not shown. What strconv
// doesn't know yet, a letter of a newer Unicode, may be.
func TestHiddenCharacters(t *testing.T) {
	for r := rune(0); r < 0x3000; r++ {
		if !utf8.ValidRune(r) || strconv.IsPrint(r) || strconv.IsGraphic(r) {
			continue
		}
		if Rune(r) && (r < 0xa0 || r == 0xad || r >= 0x200b && r < 0x2070) {
			t.Errorf("U+%04X: shown, want it escaped", r)
		}
	}
	for r := range rune(0x20000) {
		ignorable := unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
		if strconv.IsPrint(r) && r < 0x3000 && !Rune(r) && !ignorable {
			t.Errorf("U+%04X %c: escaped, want it shown", r, r)
		}
		if ignorable && Rune(r) || Rune(r) && (r >= 0x1d173 && r <= 0x1d17a || r >= 0x1bca0 && r <= 0x1bca3) { // of Cf
			t.Errorf("U+%04X: shown, want it escaped", r)
		}
	}
	for _, r := range "\U0001f600\U00020000\U0001d172" {
		if !Rune(r) {
			t.Errorf("U+%04X %c: escaped, want it shown", r, r)
		}
	}
}
