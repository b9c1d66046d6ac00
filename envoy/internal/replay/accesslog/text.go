package accesslog

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// The formats of text that are known.
const (
	// Default is Envoy's, where no log_format is configured.
	Default = `[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% ` +
		`%BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" ` +
		`"%REQ(USER-AGENT)%" "%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%"`
	// Istio is Istio's, where meshConfig.accessLogFormat is empty.
	Istio = `[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% ` +
		`%RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% "%UPSTREAM_TRANSPORT_FAILURE_REASON%" %BYTES_RECEIVED% ` +
		`%BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" ` +
		`"%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%" %UPSTREAM_CLUSTER_RAW% %UPSTREAM_LOCAL_ADDRESS% ` +
		`%DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% %REQUESTED_SERVER_NAME% %ROUTE_NAME%`
)

// format is a format string taken apart: a first literal, and values with what follows each.
type format struct {
	first  string
	values []part
}

type part struct {
	field    int // -1: not needed
	operator string
	follows  string // ends the value; "": the line does
	quoted   bool   // it may have spaces
}

// operator is %NAME%, %NAME(ARGUMENT)% or %NAME(ARGUMENT):LENGTH%.
var operator = regexp.MustCompile(`%([A-Z0-9_]+)(?:\(((?:[^()]|\([^()]*\))*)\))?(?::[0-9]+)?%`)

// operators are the operators whose values are fields.
var operators = map[string]field{
	"START_TIME": startTime, "DURATION": duration, "RESPONSE_DURATION": serviceTime, "RESPONSE_CODE": responseCode,
	"RESPONSE_FLAGS": responseFlags, "RESPONSE_CODE_DETAILS": responseCodeDetails, "UPSTREAM_CLUSTER": cluster,
	"UPSTREAM_CLUSTER_RAW": cluster, "DOWNSTREAM_REMOTE_ADDRESS": remoteAddress,
	"DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT": remoteAddress, "ROUTE_NAME": routeName, "GRPC_STATUS": grpcStatus,
	"GRPC_STATUS_NUMBER": grpcStatus,
}

// compile reads a format string.
func compile(text string, headers []string) (format, error) {
	text = strings.TrimRight(text, "\n")
	all := operator.FindAllStringSubmatchIndex(text, -1)
	if len(all) == 0 {
		return format{}, fmt.Errorf("the format %q has no operator such as %%START_TIME%%", text)
	}
	f := format{first: text[:all[0][0]]}
	for i, at := range all {
		end := len(text)
		if i+1 < len(all) {
			end = all[i+1][0]
		}
		argument := ""
		if at[4] >= 0 {
			argument = text[at[4]:at[5]]
		}
		p := part{
			field: fieldOf(text[at[2]:at[3]], argument, headers), operator: text[at[0]:at[1]], follows: text[at[1]:end],
			quoted: at[0] > 0 && (text[at[0]-1] == '"' || text[at[0]-1] == '['),
		}
		if p.follows == "" && i+1 < len(all) {
			return format{}, fmt.Errorf("the format has %s right before %s: where one ends can't be told", p.operator, text[all[i+1][0]:all[i+1][1]])
		}
		f.values = append(f.values, p)
	}
	return f, nil
}

// fieldOf is the field of an operator, -1 where it has none that is needed.
func fieldOf(name, argument string, headers []string) int {
	switch name {
	case "REQ", "REQUEST_HEADER":
		argument = strings.ToLower(argument)
		first, second, _ := strings.Cut(argument, "?")
		for _, header := range []string{first, second} {
			switch header {
			case ":method":
				return int(method)
			case ":path":
				return int(path)
			case ":authority":
				return int(authority)
			}
		}
		if i := slices.Index(headers, first); i >= 0 {
			return int(fields) + i
		}
		if first == "x-forwarded-for" {
			return int(forwardedFor)
		}
	case "RESP", "RESPONSE_HEADER":
		if strings.EqualFold(argument, "x-envoy-upstream-service-time") {
			return int(serviceTime)
		}
	default:
		if f, ok := operators[name]; ok {
			return int(f)
		}
	}
	return -1
}

// parse finds the values of a line. Envoy writes a header as it is, so a value ends at the first text that follows it in the format.
func (f *format) parse(line []byte, values [][]byte) error {
	rest, ok := bytes.CutPrefix(line, []byte(f.first))
	if !ok {
		return fmt.Errorf("text: does not begin with %q", f.first)
	}
	for i := range f.values {
		p := &f.values[i]
		end := len(rest)
		if p.follows != "" {
			end = bytes.Index(rest, []byte(p.follows))
			if end < 0 && i == len(f.values)-1 && bytes.HasSuffix(rest, bytes.TrimSpace([]byte(p.follows))) {
				end = len(rest) - len(bytes.TrimSpace([]byte(p.follows)))
			}
			if end < 0 {
				return fmt.Errorf("text: %q does not follow %s", p.follows, p.operator)
			}
		}
		value := rest[:end]
		if !p.quoted && bytes.IndexByte(value, ' ') >= 0 {
			return fmt.Errorf("text: %s is %q, with a space", p.operator, value)
		}
		if p.field >= 0 && len(values[p.field]) == 0 && len(value) > 0 && string(value) != "-" {
			values[p.field] = value
		}
		rest = rest[min(end+len(p.follows), len(rest)):]
	}
	if len(rest) > 0 {
		return fmt.Errorf("text: %q is left over", rest)
	}
	return nil
}
