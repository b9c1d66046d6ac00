package accesslog

import (
	"fmt"
	"slices"
	"strings"
)

// field is something that a line may tell about a request. Headers that are wanted have the numbers that follow.
type field uint8

const (
	startTime field = iota
	duration
	serviceTime
	responseCode
	responseFlags
	responseCodeDetails
	cluster
	method
	path
	authority
	remoteAddress
	forwardedFor
	routeName
	grpcStatus
	fields
)

// aliases are the keys of JSON for each field: its name first, by which --field names it, then others. Of several that a line has
// the first of the list counts. They are in lower case, with _ for - and without a leading colon, as a key is before it is looked
// up: the names of Envoy's operators, of Istio's and Envoy Gateway's default JSON, and of headers.
var aliases = [fields][]string{
	startTime:           {"start_time", "timestamp", "@timestamp", "time"},
	duration:            {"duration", "duration_ms"},
	serviceTime:         {"upstream_service_time", "x_envoy_upstream_service_time", "response_duration"},
	responseCode:        {"response_code", "status", "status_code"},
	responseFlags:       {"response_flags"},
	responseCodeDetails: {"response_code_details"},
	cluster:             {"upstream_cluster", "upstream_cluster_raw", "cluster"},
	method:              {"method", "request_method", "req_method"},
	path:                {"x_envoy_original_path", "x_envoy_origin_path", "path", "request_path", "req_path"},
	authority:           {"authority", "host", "req_authority"},
	remoteAddress:       {"downstream_remote_address", "downstream_remote_address_without_port", "remote_address"},
	forwardedFor:        {"x_forwarded_for"},
	routeName:           {"route_name", "route"},
	grpcStatus:          {"grpc_status_number", "grpc_status"},
}

// name is how --field and messages call a field.
func (f field) name() string {
	if f == path {
		return "path"
	}
	return aliases[f][0]
}

// Names are the names of all fields, for `--field NAME=KEY`.
func Names() []string {
	var all []string
	for f := range fields {
		all = append(all, f.name())
	}
	return all
}

// headerPrefix begins the name of a field that is a header: header:x-api-key.
const headerPrefix = "header:"

// place is the field that a key belongs to. Its rank is higher the earlier the key is among the field's aliases; 0: none.
type place struct {
	field uint8
	rank  uint8
}

// names finds a key's field.
type names struct {
	exact  map[string]place // written by --field, and keys that were looked up before
	normal map[string]place // normalized
	buffer []byte
}

// mostNames bounds the keys that are kept: a log whose keys are data has any number.
const mostNames = 4096

func newNames(o Options) (names, error) {
	n := names{exact: map[string]place{}, normal: map[string]place{}}
	written := map[string]bool{}
	for name, key := range o.Fields {
		var i int
		if header, ok := strings.CutPrefix(name, headerPrefix); ok {
			if i = slices.Index(o.Headers, strings.ToLower(header)); i < 0 {
				continue // the policy does not read it
			}
			i += int(fields)
		} else if i = slices.Index(Names(), name); i < 0 {
			return n, fmt.Errorf("there is no field %s; the fields are %s, and header:NAME", name, strings.Join(Names(), ", "))
		}
		written[name] = true
		n.exact[key] = place{uint8(i), 255}
	}
	for f := range fields {
		for i, alias := range aliases[f] {
			if !written[f.name()] {
				n.normal[alias] = place{uint8(f), uint8(100 - i)}
			}
		}
	}
	for i, header := range o.Headers {
		normal := normalize(nil, []byte(header))
		for j, prefix := range []string{"req_header.", "request_header.", "request_headers.", "req_", ""} {
			if key := prefix + string(normal); !written[headerPrefix+header] {
				if _, taken := n.normal[key]; !taken {
					n.normal[key] = place{uint8(int(fields) + i), uint8(100 - j)}
				}
			}
		}
	}
	return n, nil
}

// find is a key's place; its rank is 0 where it has none.
func (n *names) find(key []byte) place {
	if p, ok := n.exact[string(key)]; ok {
		return p
	}
	n.buffer = normalize(n.buffer[:0], key)
	p := n.normal[string(n.buffer)]
	if n.exact != nil && len(n.exact) < mostNames {
		n.exact[string(key)] = p
	}
	return p
}

func normalize(b, key []byte) []byte {
	for i, c := range key {
		switch {
		case c == ':' && i == 0:
			continue
		case c == '-':
			c = '_'
		case 'A' <= c && c <= 'Z':
			c += 'a' - 'A'
		}
		b = append(b, c)
	}
	return b
}
