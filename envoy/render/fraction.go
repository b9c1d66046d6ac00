package render

import (
	"bytes"
	"encoding/json"
	"strings"
)

// fractionInData says whether a policy's default_data contains a number that is not whole. Envoy's YAML loader turns
// such a number into a string. The filter turns it back where it expects a number, but it cannot know the types in
// default_data.
func fractionInData(policy []byte) bool {
	decoder := json.NewDecoder(bytes.NewReader(policy))
	decoder.UseNumber()
	var document any
	if decoder.Decode(&document) != nil {
		return false // configuration reports it
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
			if findFraction(member, inData || name == "default_data" || name == "default_data_by_path") {
				return true
			}
		}
	}
	return false
}
