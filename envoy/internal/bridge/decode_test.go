package bridge

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDecodeCommand(t *testing.T) {
	for body, want := range map[string][]any{
		`["PING"]`: {"PING"},
		" [ \"EVALSHA\" , \"ab\",\t1 , \"weir:{k}\"\r\n] ":              {"EVALSHA", "ab", "1", "weir:{k}"},
		`["SET","key",13,-0.5,1e2,1E-7,0]`:                              {"SET", "key", "13", "-0.5", "1e2", "1E-7", "0"},
		`["","é","a\"b\\c\/d\b\f\n\r\t","\u00e9\u0000","\ud83d\ude00"]`: {"", "é", "a\"b\\c/d\b\f\n\r\t", "é\x00", "😀"},
		"[\"\ufffd\", \"\\ufffd\\uD83D\\uDE00\\\\ud83d\"]":              {"\ufffd", "\ufffd😀\\ud83d"},
		`["SET",123456789012345678901234567890]`:                        {"SET", "123456789012345678901234567890"},
	} {
		t.Run(body, func(t *testing.T) {
			got, err := decodeCommand([]byte(body))
			if diff := cmp.Diff(want, got); diff != "" || err != nil {
				t.Errorf("%v: %s", err, diff)
			}
		})
	}
}

func TestDecodeMistakes(t *testing.T) {
	const element = "want a string or a number as element 2 of a command"
	for body, want := range map[string]string{
		``:                 "unexpected EOF",
		`{}`:               "got object, want an array",
		`"PING"`:           "got string, want an array",
		`null`:             "an empty command",
		`[]`:               "an empty command",
		`["PING"`:          "unexpected EOF",
		`["PING",]`:        "invalid character ']'",
		`["PING"] x`:       "want nothing after the array",
		`["PING"] []`:      "want nothing after the array",
		`["PING"]]`:        "want nothing after the array",
		`["PING" "x"]`:     "invalid character '\"' after array element",
		`["PING"}`:         "invalid character '}' after array element",
		`["PING",null]`:    element,
		`["PING",true]`:    element,
		`["PING",["x"]]`:   element,
		`["PING",{"x":1}]`: element,
		`["PING",01]`:      "invalid character '1' after array element",
		`["PING",-]`:       "invalid character ']' in numeric literal",
		`["PING",1.]`:      "invalid character ']' after decimal point",
		`["PING",1e]`:      "invalid character ']' in exponent",
		`["PING`:           "unexpected EOF",
		`["PING\`:          "unexpected EOF",
		`["PING\x"]`:       "invalid character 'x' in string escape code",
		`["\u12"]`:         "in \\u hexadecimal character escape",
		`["\u12g4"]`:       "in \\u hexadecimal character escape",
		`["\ud83d"]`:       "half a surrogate pair",
		`["\ud83d\u0041"]`: "half a surrogate pair",
		`["\ude00"]`:       "half a surrogate pair",
		`["\uFFFD\uDE00"]`: "half a surrogate pair",
		"[\"\xff\"]":       "not UTF-8",
		"[\"\\n\xff\"]":    "not UTF-8",
		"[\"a\nb\"]":       "invalid character '\\n' in string literal",
		"[\"\\n\nb\"]":     "invalid character '\\n' in string literal",
		"[\x00\"PING\"]":   "invalid character '\\x00'",
		"\ufeff[\"PING\"]": "invalid character",
		strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000): "exceeded max depth",
	} {
		t.Run(body, func(t *testing.T) {
			if got, err := decodeCommand([]byte(body)); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %q, %v, want an error with %q", got, err, want)
			}
		})
	}
}

func TestDecodePipeline(t *testing.T) {
	got, err := decodePipeline([]byte(`[["PING"], ["GET",1]]`), 2)
	if diff := cmp.Diff([][]any{{"PING"}, {"GET", "1"}}, got); diff != "" || err != nil {
		t.Errorf("%v: %s", err, diff)
	}
	if _, err := decodePipeline([]byte(`[["PING"],["PING"],["PING"]]`), 2); !errors.Is(err, errTooMany) {
		t.Errorf("one too many: got %v", err)
	}
	for body, want := range map[string]string{
		`[]`:            "an empty pipeline",
		`{}`:            "want an array of commands",
		`["PING"]`:      "got string, want an array",
		`[["PING"],[]]`: "an empty command",
		`[["PING"]`:     "unexpected EOF",
		`[["PING"],]`:   "invalid character ']'",
		`[["PING"]]]`:   "want nothing after the array",
	} {
		if _, err := decodePipeline([]byte(body), 2); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", body, err, want)
		}
	}
}

// The result is that of encoding/json for an array of strings and numbers, with one exception: half a surrogate pair
// and bytes that are not UTF-8 are refused, where encoding/json reads U+FFFD.
func FuzzDecodeCommand(f *testing.F) {
	for _, body := range []string{
		`["EVALSHA","ab","1","weir:{k}",13,-0.5e+7]`, `["\ud83d\ude00","\u00e9\/"]`, `[]`, `["a",null]`, `[[1]]`, "[\"\xff\"]", `["\ud83d"]`, ` [ "" , 0 ] `,
	} {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body string) {
		got, err := decodeCommand([]byte(body))
		var raw []json.RawMessage
		if json.Unmarshal([]byte(body), &raw) != nil || len(raw) == 0 {
			if err == nil {
				t.Fatalf("%q: got %q, and encoding/json refuses it or finds it empty", body, got)
			}
			return
		}
		var want []any
		for _, element := range raw {
			var s string
			var n json.Number
			switch {
			case string(element) == "null":
			case json.Unmarshal(element, &s) == nil:
				want = append(want, s)
			case json.Unmarshal(element, &n) == nil && element[0] != '"':
				want = append(want, string(element))
			}
		}
		if err != nil {
			if len(want) == len(raw) && !strings.ContainsRune(strings.Join(texts(want), ""), '\ufffd') {
				t.Fatalf("%q: %v, and encoding/json reads %q", body, err, want)
			}
			return
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%q: %s", body, diff)
		}
	})
}

func texts(arguments []any) []string {
	var all []string
	for _, argument := range arguments {
		all = append(all, argument.(string))
	}
	return all
}

func FuzzDecodePipeline(f *testing.F) {
	f.Add(`[["PING"],["GET",1]]`)
	f.Add(`[["PING"],]`)
	f.Fuzz(func(t *testing.T, body string) {
		const limit = 3
		got, err := decodePipeline([]byte(body), limit)
		if err == nil && (len(got) == 0 || len(got) > limit || !json.Valid([]byte(body))) {
			t.Fatalf("%q: got %q", body, got)
		}
	})
}
