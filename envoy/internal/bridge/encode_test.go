package bridge

import (
	"encoding/json"
	"errors"
	"math"
	"math/big"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestEncode(t *testing.T) {
	huge, _ := new(big.Int).SetString("123456789012345678901234567890", 10)
	for name, test := range map[string]struct {
		reply        any
		want, base64 string
	}{
		"nil":            {nil, `null`, `null`},
		"integers":       {[]any{int64(0), int64(math.MinInt64), int64(math.MaxInt64)}, `[0,-9223372036854775808,9223372036854775807]`, `[0,-9223372036854775808,9223372036854775807]`},
		"status":         {"OK", `"OK"`, `"OK"`},
		"string":         {"a\"b\\c\n\x01é<", `"a\"b\\c\n\u0001é<"`, `"YSJiXGMKAcOpPA=="`},
		"not UTF-8":      {"a\xffb", `"a\ufffdb"`, `"Yf9i"`},
		"nested":         {[]any{[]any{}, []any{"x", nil}}, `[[],["x",null]]`, `[[],["eA==",null]]`},
		"boolean":        {true, `true`, `true`},
		"double":         {1.5, `1.5`, `1.5`},
		"infinite":       {math.Inf(-1), `"-Inf"`, `"-Inf"`},
		"big":            {huge, huge.String(), huge.String()},
		"map":            {map[any]any{"b": int64(2), "a": []any{int64(1)}}, `["a",[1],"b",2]`, `["YQ==",[1],"Yg==",2]`},
		"error in array": {[]any{errors.New("ERR x")}, `["ERR x"]`, `["ERR x"]`},
	} {
		t.Run(name, func(t *testing.T) {
			if got := encoded(encoder{}, test.reply); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
			if got := encoded(encoder{base64: true}, test.reply); got != test.base64 {
				t.Errorf("base64: got %s, want %s", got, test.base64)
			}
		})
	}
}

func encoded(e encoder, reply any) string {
	return string(marshal(e.value(reply)))
}

func FuzzEncode(f *testing.F) {
	f.Add("a\"\\\x00\x1f\u2028\xff")
	f.Fuzz(func(t *testing.T, s string) {
		var got string
		if err := json.Unmarshal([]byte(encoded(encoder{}, s)), &got); err != nil || got != strings.ToValidUTF8(s, "\ufffd") && utf8.ValidString(s) {
			t.Fatalf("%q: got %q, %v", s, got, err)
		}
	})
}
