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
	} {
		t.Run(body, func(t *testing.T) {
			got, err := decodeCommand(body)
			if diff := cmp.Diff(want, got); diff != "" || err != nil {
				t.Errorf("%v: %s", err, diff)
			}
		})
	}
}

func TestDecodeMistakes(t *testing.T) {
	for body, want := range map[string]string{
		``:                 "byte 0: want an array",
		`{}`:               "byte 0: want an array",
		`[]`:               "an empty command",
		`["PING"`:          "byte 7: want a comma or the array's end",
		`["PING",]`:        "byte 8: want a string or a number",
		`["PING"] x`:       "byte 9: want the end",
		`["PING" "x"]`:     "byte 8: want a comma",
		`["PING",null]`:    "byte 8: want a string or a number",
		`["PING",true]`:    "byte 8: want a string or a number",
		`["PING",["x"]]`:   "byte 8: want a string or a number",
		`["PING",01]`:      "byte 9: want a comma",
		`["PING",-]`:       "byte 9: want a digit",
		`["PING",1.]`:      "byte 10: want a digit",
		`["PING",1e]`:      "byte 10: want a digit",
		`["PING`:           "byte 6: want the string's end",
		`["PING\`:          "byte 6: want an escape",
		`["PING\x"]`:       "byte 6: want an escape",
		`["\u12"]`:         "byte 2: want four hexadecimal digits",
		`["\u12g4"]`:       "byte 2: want four hexadecimal digits",
		`["\ud83d"]`:       "byte 2: want a surrogate pair",
		`["\ud83d\u0041"]`: "byte 2: want a surrogate pair",
		`["\ude00"]`:       "byte 2: want a surrogate pair",
		"[\"\xff\"]":       "not UTF-8",
		"[\"\\n\xff\"]":    "not UTF-8",
		"[\"a\nb\"]":       "want an escape for a control character",
		"[\"\\n\nb\"]":     "want an escape for a control character",
		"[\x00\"PING\"]":   "byte 1: want a string or a number",
		"\ufeff[\"PING\"]": "byte 0: want an array",
	} {
		t.Run(body, func(t *testing.T) {
			if got, err := decodeCommand(body); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %q, %v, want %q", got, err, want)
			}
		})
	}
}

func TestDecodePipeline(t *testing.T) {
	got, err := decodePipeline(`[["PING"], ["GET",1]]`, 2)
	if diff := cmp.Diff([][]any{{"PING"}, {"GET", "1"}}, got); diff != "" || err != nil {
		t.Errorf("%v: %s", err, diff)
	}
	if _, err := decodePipeline(`[["PING"],["PING"],["PING"]]`, 2); !errors.Is(err, errTooMany) {
		t.Errorf("one too many: got %v", err)
	}
	for body, want := range map[string]string{
		`[]`:            "an empty pipeline",
		`["PING"]`:      "byte 1: want an array",
		`[["PING"],[]]`: "an empty command",
		`[["PING"]`:     "byte 9: want a comma",
		`[["PING"]]]`:   "byte 10: want the end",
	} {
		if _, err := decodePipeline(body, 2); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", body, err, want)
		}
	}
}

// What encoding/json reads as an array of strings and numbers is read alike. It is more lenient in one thing only: half a
// surrogate pair, and a byte that is no UTF-8, become U+FFFD there.
func FuzzDecodeCommand(f *testing.F) {
	for _, body := range []string{
		`["EVALSHA","ab","1","weir:{k}",13,-0.5e+7]`, `["\ud83d\ude00","\u00e9\/"]`, `[]`, `["a",null]`, `[[1]]`, "[\"\xff\"]", `["\ud83d"]`, ` [ "" , 0 ] `,
	} {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body string) {
		got, err := decodeCommand(body)
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
		got, err := decodePipeline(body, limit)
		if err == nil && (len(got) == 0 || len(got) > limit || !json.Valid([]byte(body))) {
			t.Fatalf("%q: got %q", body, got)
		}
	})
}
