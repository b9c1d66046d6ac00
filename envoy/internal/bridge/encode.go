package bridge

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"math"
	"math/big"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/redis/go-redis/v9"
)

// encoder writes Redis's replies as JSON.
//
//	integer        1                       nil              null
//	string         "text"                  array, set       [ … ]
//	double         1.5, "inf", "nan"       map (RESP3)      [key, value, …] by key, as RESP2 has it
//	boolean        true                    error within     "ERR …"
//
// JSON knows only Unicode: a byte that is no UTF-8 becomes U+FFFD, unless base64 is set. Then every string but "OK" is
// encoded, as Upstash does for a request with the header Upstash-Encoding: base64.
type encoder struct {
	base64 bool
}

func (e encoder) append(dst []byte, reply any) []byte {
	switch v := reply.(type) {
	case nil:
		return append(dst, "null"...)
	case int64:
		return strconv.AppendInt(dst, v, 10)
	case string:
		return e.appendString(dst, v)
	case []any:
		return e.appendArray(dst, v)
	case bool:
		return strconv.AppendBool(dst, v)
	case float64:
		if math.IsInf(v, 0) || math.IsNaN(v) { // JSON has none of them
			return appendQuoted(dst, strconv.FormatFloat(v, 'f', -1, 64))
		}
		return strconv.AppendFloat(dst, v, 'g', -1, 64)
	case *big.Int:
		return v.Append(dst, 10)
	case map[any]any:
		return e.appendArray(dst, flat(v))
	case error:
		return appendQuoted(dst, v.Error())
	default:
		return appendQuoted(dst, fmt.Sprint(v))
	}
}

func (e encoder) appendArray(dst []byte, elements []any) []byte {
	dst = append(dst, '[')
	for i, element := range elements {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = e.append(dst, element)
	}
	return append(dst, ']')
}

func (e encoder) appendString(dst []byte, s string) []byte {
	if !e.base64 || s == "OK" {
		return appendQuoted(dst, s)
	}
	dst = append(dst, '"')
	dst = base64.StdEncoding.AppendEncode(dst, []byte(s))
	return append(dst, '"')
}

// flat is a map as a RESP2 client is given it, in an order that does not change from call to call.
func flat(m map[any]any) []any {
	keys := make([]any, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b any) int {
		return cmp.Compare(fmt.Sprint(a), fmt.Sprint(b))
	})
	elements := make([]any, 0, 2*len(m))
	for _, key := range keys {
		elements = append(elements, key, m[key])
	}
	return elements
}

// appendQuoted writes a JSON string.
func appendQuoted(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
			i++
		case c < ' ':
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
			i++
		case c < utf8.RuneSelf:
			dst = append(dst, c)
			i++
		default:
			r, size := utf8.DecodeRuneInString(s[i:]) // RuneError, U+FFFD, for a byte that is none
			dst = utf8.AppendRune(dst, r)
			i += size
		}
	}
	return append(dst, '"')
}

// appendOutcome writes {"result": reply}, or {"error": "text"} for an error that Redis answered with.
func (e encoder) appendOutcome(dst []byte, reply any) []byte {
	if refused, ok := reply.(redis.Error); ok {
		dst = append(dst, `{"error":`...)
		dst = appendQuoted(dst, refused.Error())
	} else {
		dst = append(dst, `{"result":`...)
		dst = e.append(dst, reply)
	}
	return append(dst, '}')
}
