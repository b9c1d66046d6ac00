package schema

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/weir-mesh/weir/policy"
)

// variable is text with ${NAME} in it, whose value the schema does not know.
var variable = object{"type": "string", "pattern": `\$\{[A-Za-z_][A-Za-z0-9_]*(:-[^}]*)?\}|\$\$\{`}

// token is what the names of headers, cookies and methods are made of (RFC 9110, section 5.6.2), but for small letters.
const token = "!#$%&'*+.^_`|~0-9A-Z-"

var (
	clusterPattern = object{"type": "string", "minLength": 1, "maxLength": 256, "pattern": "^[^\\x00-\\x1f\\x7f]*$"}
	clusterName    = object{"type": "string", "minLength": 1, "maxLength": 256, "pattern": "^[^*\\x00-\\x1f\\x7f]*$"}
	// ! to ~ without # and ?
	pathPattern = object{"type": "string", "maxLength": 256, "pattern": `^[/*][!"$->@-~]*$`}
	headerName  = matching("^[" + token + "a-z]{1,256}$")
)

func matching(pattern string) object { return object{"type": "string", "pattern": pattern} }

// orVariable is also satisfied by a variable.
func orVariable(s object) object {
	return object{"anyOf": []any{s, object{"$ref": "#/definitions/variable"}}}
}

func list(item object, unique bool) object {
	l := object{"type": "array", "maxItems": 100, "items": item}
	if unique {
		l["uniqueItems"] = true
	}
	return l
}

// ofType is the schema of a type as the decoder describes it.
func ofType(k policy.Key) (s object, known bool) {
	kind, bounds, _ := strings.Cut(k.Type, ", ")
	switch kind {
	case "boolean":
		return orVariable(object{"type": "boolean"}), true
	case "whole number":
		return orVariable(bounded("integer", bounds, 1)), true
	case "number":
		return orVariable(bounded("number", bounds, 1)), true
	case "duration":
		text := matching(`^\+?(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+$`)
		return object{"anyOf": []any{bounded("number", bounds, time.Second), text, object{"$ref": "#/definitions/variable"}}}, true
	}
	switch k.Type {
	case "cluster":
		name := clusterName
		if k.Default == `""` {
			name = object{"type": "string", "maxLength": 256, "pattern": clusterName["pattern"]}
		}
		return orVariable(name), true
	case "header name":
		return orVariable(headerName), true
	case "printable ASCII":
		return orVariable(object{"type": "string", "maxLength": 4096, "pattern": "^[!-~]*$"}), true
	case "any JSON, or a string sent as it is":
		return object{}, true
	case "object of header names and strings":
		return headers(), true
	case "list of host names":
		return list(orVariable(matching("^[A-Za-z0-9.-]{1,256}$")), true), true
	case "list of clusters":
		return list(orVariable(clusterName), true), true
	case "list of header names":
		return list(orVariable(headerName), true), true
	case "list of methods":
		return list(orVariable(matching("^["+token+"]{1,256}$")), true), true
	case "list of strings":
		return list(orVariable(object{"type": "string", "minLength": 1, "maxLength": 1024}), true), true
	case "list of failures, see below":
		return list(orVariable(failure()), false), true
	}
	if of, isList := strings.CutPrefix(k.Type, "list of "); isList && words(of) != nil {
		return list(orVariable(object{"enum": words(of)}), true), true
	}
	if all := words(k.Type); all != nil {
		if slices.Contains(all, "off") { // a plain off is false for YAML 1.1
			return orVariable(object{"enum": append(toAny(all), false)}), true
		}
		return orVariable(object{"enum": all}), true
	}
	return object{}, false
}

// words are those of a type like `enforce, shadow, off`, nil for any other type.
func words(typ string) []string {
	all := strings.Split(typ, ", ")
	if len(all) < 2 || slices.ContainsFunc(all, func(w string) bool { return strings.Trim(w, "abcdefghijklmnopqrstuvwxyz_") != "" }) {
		return nil
	}
	return all
}

func toAny(words []string) []any {
	all := make([]any, len(words))
	for i, w := range words {
		all[i] = w
	}
	return all
}

// bounded reads `1 to 10`, `above 0 to 1` and `1ms to 24h`, whose ends are in units.
func bounded(typ, bounds string, unit time.Duration) object {
	s := object{"type": typ}
	low, high, _ := strings.Cut(bounds, " to ")
	limit := func(text, open, closed string, wordOpen string) {
		name := closed
		if rest, isOpen := strings.CutPrefix(text, wordOpen); isOpen {
			name, text = open, rest
		}
		if d, err := time.ParseDuration(text); err == nil {
			s[name] = float64(d) / float64(unit)
		} else if n, err := strconv.ParseFloat(text, 64); err == nil {
			s[name] = n
		}
	}
	limit(low, "exclusiveMinimum", "minimum", "above ")
	limit(high, "exclusiveMaximum", "maximum", "below ")
	return s
}

// failure is an outcome that counts as a failure.
func failure() object {
	names := policy.GRPCCodes()[1:] // 0 is OK
	return object{"anyOf": []any{
		object{"enum": []string{"4xx", "5xx", "reset", "connect_failure", "timeout"}},
		matching("^[1-5][0-9][0-9]$"),
		object{"type": "integer", "minimum": 100, "maximum": 599},
		matching("^grpc:(" + strings.Join(names, "|") + `|\+?0*([1-9]|1[0-6]))$`),
	}}
}

// keyPart is a part of a limit's key.
func keyPart(clientIP object) object {
	return object{"anyOf": []any{
		object{"enum": []string{"client_ip", "path", "method"}},
		object{"$ref": "#/definitions/variable"},
		object{
			"type": "object", "minProperties": 1, "maxProperties": 1, "additionalProperties": false,
			"properties": object{
				"header":    orVariable(headerName),
				"query":     orVariable(object{"type": "string", "minLength": 1, "maxLength": 256, "pattern": "^[^\\x00-\\x1f\\x7f]*$"}),
				"cookie":    orVariable(headerName),
				"client_ip": clientIP,
			},
		},
	}}
}

// headers are those of default_data: not those of the connection, and none that the filter sets itself.
func headers() object {
	own := `connection|content-length|keep-alive|proxy-connection|te|trailer|transfer-encoding|upgrade|x-weir-.*`
	inAnyCase := regexp.MustCompile(`[a-z]`).ReplaceAllStringFunc(own, func(letter string) string {
		return "[" + strings.ToUpper(letter) + letter + "]"
	})
	return object{
		"type":                 "object",
		"propertyNames":        object{"allOf": []any{headerName, object{"not": matching("^(" + inAnyCase + ")$")}}},
		"additionalProperties": orVariable(matching("^[^\\x00-\\x08\\x0a-\\x1f\\x7f]*$")),
	}
}
