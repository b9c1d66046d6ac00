package bridge

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"slices"

	"github.com/redis/go-redis/v9"
)

// encoder writes Redis's replies as JSON.
//
//	integer        1                        nil              null
//	string         "text"                   array, set       [ … ]
//	double         1.5, "+Inf", "NaN"       map (RESP3)      [key, value, …] by key, as RESP2 has it
//	boolean        true                     error in array   "ERR …"
//
// JSON knows only Unicode: a byte that is not UTF-8 becomes U+FFFD, unless base64 is set. Then every string but "OK" is
// encoded, as Upstash does for a request with the header Upstash-Encoding: base64.
type encoder struct {
	base64 bool
}

// Redis's replies in Upstash's dialect.
type (
	result struct {
		Result any `json:"result"`
	}
	failure struct {
		Error string `json:"error"`
	}
)

// outcome is {"result": reply}, or {"error": "text"} for an error that Redis answered with.
func (e encoder) outcome(reply any) any {
	if refused, ok := reply.(redis.Error); ok {
		return failure{refused.Error()}
	}
	return result{e.value(reply)}
}

// value is a reply as encoding/json takes it.
func (e encoder) value(reply any) any {
	switch v := reply.(type) {
	case nil, int64, bool, *big.Int:
		return v
	case string:
		if e.base64 && v != "OK" {
			return []byte(v) // encoding/json writes bytes as base64
		}
		return v
	case []any:
		elements := make([]any, len(v))
		for i := range v {
			elements[i] = e.value(v[i])
		}
		return elements
	case float64:
		if math.IsInf(v, 0) || math.IsNaN(v) { // JSON has no such numbers
			return fmt.Sprint(v)
		}
		return v
	case map[any]any:
		return e.value(flat(v))
	case error:
		return v.Error()
	default:
		return fmt.Sprint(v)
	}
}

// flat is a map as a RESP2 client is given it, in an order that does not change from call to call.
func flat(m map[any]any) []any {
	keys := make([]any, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b any) int { return cmp.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	elements := make([]any, 0, 2*len(m))
	for _, key := range keys {
		elements = append(elements, key, m[key])
	}
	return elements
}

// marshal is json.Marshal of what outcome made, without escapes for HTML.
func marshal(answer any) []byte {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	_ = e.Encode(answer) // cannot fail: value leaves nothing that JSON cannot hold
	return bytes.TrimSuffix(out.Bytes(), []byte("\n"))
}
