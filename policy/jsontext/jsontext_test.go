package jsontext_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/weir-mesh/weir/policy/jsontext"
)

// texts are JSON and not JSON; the fuzzer begins with them.
var texts = []string{
	``, ` `, `{}`, `[]`, ` [ ] `, `{"a":1}`, `{"a":{"b":[1,2,{"c":null}]}}`, `[true,false,null]`, `"text"`, `0`, `-0`, `-0.5e-7`, `1E+400`, `12345678901234567890`,
	`{"a":1,"a":2}`, `{"":""}`, `"\"\\\/\b\f\n\r\t"`, `"\u0041\u00e9\u20ac"`, `"\ud83d\ude00"`, `"\ud83d"`, `"\ude00"`, `"\ud83d\ud83d\ude00"`, `"\ud83dx"`, `"\ud83d\n"`,
	`"\u12"`, `"\u12g4"`, `"\x"`, `"\`, `"`, `"a`, "\"\n\"", "\"\x00\"", `'a'`, `{'a':1}`, `{a:1}`, `{"a"1}`, `{"a":}`, `{"a":1,}`, `{"a":1 "b":2}`, `{,}`, `{`, `{"a`, `{"a"`, `{"a":`,
	`[1,]`, `[,1]`, `[1 2]`, `[1`, `[`, `]`, `}`, `[}`, `{]`, `1 2`, `{} x`, `{}x`, `[]]`, `t`, `tr`, `tru`, `trux`, `truex`, `f`, `fals`, `falsy`, `n`, `nul`, `nulx`, `nan`, `+1`, `-`, `-x`, `01`, `1.`,
	`1.x`, `.5`, `1e`, `1e+`, `1ex`, `1e5x`, `-01`, `--1`, `1.5.5`, "\ufeff{}", `é`, `"é"`, `{"é":"\u2028"}`, "\t\r\n1\t\r\n", "\v1", `/* */1`, `"<>&"`, "\x7f", `[1,"2",[3],{"4":5}]`, "{\"\"\x00", "[1\x00]",
}

func nested(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }

func TestCheck(t *testing.T) {
	for _, text := range append(texts, nested(9_999), nested(10_000), nested(10_001), strings.Repeat(`{"a":`, 10_001), strings.Repeat("[", 1<<20)) {
		compare(t, text)
	}
}

func FuzzAgainstEncodingJSON(f *testing.F) {
	for _, text := range texts {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) { compare(t, text) })
}

// compare reads a text by this package and by encoding/json.
func compare(t *testing.T, text string) {
	t.Helper()
	shown := text
	if len(shown) > 100 {
		shown = shown[:50] + "…" + shown[len(shown)-50:]
	}
	var whole json.RawMessage
	var want *json.SyntaxError
	if err := json.Unmarshal([]byte(text), &whole); err != nil && !errors.As(err, &want) {
		t.Fatalf("json.Unmarshal(%q): got error %v, want a SyntaxError", shown, err)
	}
	got := jsontext.Check([]byte(text))
	switch {
	case got == nil && want == nil:
	case got == nil || want == nil:
		t.Fatalf("Check(%q): got %v, want %v", shown, got, want)
	case got.Text != want.Error() || int64(got.Offset) != want.Offset:
		t.Fatalf("Check(%q): got %q after %d bytes, want %q after %d", shown, got.Text, got.Offset, want, want.Offset)
	default:
		r := jsontext.NewReader([]byte(text)) // no panic, and an end
		for range 2*len(text) + 2 {
			if v := r.Value(); v.Kind >= jsontext.List {
				for n := 0; n < 3 && r.More(); n++ {
					r.Name()
				}
			}
		}
		return
	}
	if !utf8.ValidString(text) {
		return // encoding/json replaces what is no UTF-8, the callers of this package refuse it
	}
	wantTokens := json.NewDecoder(strings.NewReader(text))
	wantTokens.UseNumber()
	r := jsontext.NewReader([]byte(text))
	if len(text) < 10_000 {
		sameValue(t, shown, r, wantTokens)
	}
}

// sameValue compares one value, token by token.
func sameValue(t *testing.T, text string, r *jsontext.Reader, tokens *json.Decoder) {
	t.Helper()
	want, err := tokens.Token()
	if err != nil {
		t.Fatalf("Token of %q: got error %v, want none", text, err)
	}
	got := r.Value()
	same := false
	switch want := want.(type) {
	case nil:
		same = got == jsontext.Value{Kind: jsontext.Null}
	case bool:
		same = got.Kind == jsontext.True && want || got.Kind == jsontext.False && !want
	case json.Number:
		same = got == jsontext.Value{Kind: jsontext.Number, Text: want.String()}
	case string:
		same = got == jsontext.Value{Kind: jsontext.String, Text: want}
	case json.Delim:
		same = got.Kind == jsontext.List && want == '[' || got.Kind == jsontext.Object && want == '{'
	}
	if !same {
		t.Fatalf("Value in %q: got %+v, want %v", text, got, want)
	}
	if got.Kind < jsontext.List {
		return
	}
	for tokens.More() {
		if !r.More() {
			t.Fatalf("More in %q: got no more, want more", text)
		}
		if got.Kind == jsontext.Object {
			want, err := tokens.Token()
			if name := r.Name(); err != nil || name != want {
				t.Fatalf("Name in %q: got %q, want %q (%v)", text, name, want, err)
			}
		}
		sameValue(t, text, r, tokens)
	}
	if r.More() {
		t.Fatalf("More in %q: got more, want no more", text)
	}
	if _, err := tokens.Token(); err != nil {
		t.Fatal(err)
	}
}

func TestAppendString(t *testing.T) {
	for c := rune(0); c <= 0x2100; c++ {
		sameString(t, "a"+string(c)+"b")
	}
	for _, s := range []string{"", "\xff", "a\xc3", "\xed\xa0\x80", "😀", "�", `"\`} {
		sameString(t, s)
	}
}

func FuzzAppendString(f *testing.F) {
	f.Add("a\n\u2028<\xff")
	f.Fuzz(sameString)
}

func sameString(t *testing.T, s string) {
	t.Helper()
	var want bytes.Buffer
	encoder := json.NewEncoder(&want)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(s); err != nil {
		t.Fatal(err)
	}
	if got := string(jsontext.AppendString([]byte("before"), s)) + "\n"; got != "before"+want.String() {
		t.Errorf("AppendString(%q): got %s, want %s", s, got, want.String())
	}
	sameWritten(t, s, func(w *jsontext.Writer) { w.String(s) })
}

// sameWritten compares what encoding/json makes of a value with what a Writer does.
func sameWritten(t *testing.T, value any, write func(*jsontext.Writer)) {
	t.Helper()
	want, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	w := jsontext.Writer{}
	if write(&w); string(w.Text) != string(want) {
		t.Errorf("Writer: got %s, want %s", w.Text, want)
	}
}

func TestWriter(t *testing.T) {
	for _, n := range []float64{
		0, 1, -1, 0.1, 1.5, 1e-6, 9.99e-7, 1e-7, 1e-10, 1e-300, 1e20, 1e21, 1.5e21, -1e22, 1e300, 123456789.25, 1 << 53, math.MaxFloat64, math.SmallestNonzeroFloat64,
	} {
		sameWritten(t, n, func(w *jsontext.Writer) { w.Number(n) })
	}
	sameWritten(t, []any{}, func(w *jsontext.Writer) { w.Open('['); w.Close(']') })
	sameWritten(t, []any{nil, true, "a,", []string{"b", "c"}, map[string]any{}}, func(w *jsontext.Writer) {
		w.Open('[')
		w.Null()
		w.Bool(true)
		w.String("a,")
		w.Strings([]string{"b", "c"})
		w.Open('{')
		w.Close('}')
		w.Close(']')
	})
	sameWritten(t, map[string]any{"a": 1, "b": map[string]any{"c": "{"}, "d": []string{}}, func(w *jsontext.Writer) {
		w.Open('{')
		w.Name("a")
		w.Number(1)
		w.Name("b")
		w.Open('{')
		w.Name("c")
		w.String("{")
		w.Close('}')
		w.Name("d")
		w.Strings(nil)
		w.Close('}')
	})
	w := jsontext.Writer{}
	if w.Number(math.NaN()); string(w.Text) != "null" {
		t.Errorf("Number(NaN): got %s, want null", w.Text)
	}
}

func FuzzNumber(f *testing.F) {
	f.Add(1.5)
	f.Fuzz(func(t *testing.T, n float64) {
		if !math.IsNaN(n) && !math.IsInf(n, 0) {
			sameWritten(t, n, func(w *jsontext.Writer) { w.Number(n) })
		}
	})
}
