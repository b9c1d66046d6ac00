package render

import (
	"bytes"
	"encoding/json"
	"strings"
)

// fractionInData says whether a policy's default_data holds a number that is not whole. Envoy's YAML loader makes a string
// of such a number. The filter knows better where it expects a number, but in data of the user's own it can't.
func fractionInData(policy []byte) bool {
	decoder := json.NewDecoder(bytes.NewReader(policy))
	decoder.UseNumber()
	var document any
	if decoder.Decode(&document) != nil {
		return false // said in its place
	}
	return findFraction(document, false)
}

func findFraction(v any, inData bool) bool {
	switch v := v.(type) {
	case json.Number:
		return inData && strings.ContainsAny(v.String(), ".eE")
	case []any:
		for _, item := range v {
			if findFraction(item, inData) {
				return true
			}
		}
	case map[string]any:
		for name, member := range v {
			if findFraction(member, inData || name == "default_data") {
				return true
			}
		}
	}
	return false
}
