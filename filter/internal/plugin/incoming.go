package plugin

import (
	"github.com/weir-mesh/weir/filter/internal/host"
	"github.com/weir-mesh/weir/filter/internal/localreply"
	"github.com/weir-mesh/weir/filter/internal/request"
	"github.com/weir-mesh/weir/filter/internal/retries"
	"github.com/weir-mesh/weir/policy/header"
)

// read reads what a decision needs from the request's headers, and removes those that only Weir may set. The lengths of names
// come first because TinyGo compares a string with each case by a call: most headers match none.
func (s *stream) read(headers host.Headers, in *request.Incoming) (method string) {
	in.Stream = s.id
	c := headers.Cursor()
	for c.Next() {
		name, value := c.Name, c.Value
		switch len(name) {
		case len(":path"):
			if name == ":path" {
				readPath(value, in)
			}
		case len("accept"):
			in.Events = in.Events || name == "accept" && header.IsEvents(value)
		case len(":method"): // and of upgrade
			switch name {
			case ":method":
				method = value
				in.Connect = value == "CONNECT"
				in.Upgrade = in.Upgrade || in.Connect
			case "upgrade":
				in.Upgrade = true
			}
		case len(":authority"):
			in.Malformed = in.Malformed || name == ":authority" && !header.IsPlainAuthority(value)
		case len("content-type"): // and of grpc-timeout
			switch name {
			case "content-type":
				readType(value, in)
			case "grpc-timeout":
				shorten(&in.Deadlines.Call, grpcTimeout(value))
			}
		case len("content-length"):
			if name == "content-length" {
				in.Long = retries.TooLong(value)
			}
		case len("connect-protocol-version"):
			if name == "connect-protocol-version" && in.Protocol == localreply.PlainHTTP {
				in.Protocol = localreply.ConnectUnary
			}
		}
		if len(name) >= len(shortestTimeout) {
			readTimeout(name, value, &in.Deadlines)
		}
		switch {
		case retries.IsRequestHeader(name):
			s.asksForAttempts = true
		case header.IsOwn(name), s.plugin.steers(name):
			s.removeOwn(name)
		}
	}
	s.head = method == "HEAD"
	return method
}

func readPath(path string, in *request.Incoming) {
	in.Malformed = in.Malformed || !header.IsPlainPath(path)
	if in.Protocol == localreply.PlainHTTP && localreply.IsConnectGet(path) {
		in.Protocol = localreply.ConnectUnary
	}
}

func readType(contentType string, in *request.Incoming) {
	in.GRPC = header.IsGRPC(contentType)
	if protocol := localreply.ProtocolOf(contentType); protocol != localreply.PlainHTTP {
		in.Protocol = protocol
	}
}

// removeOwn removes a header that only Weir may set. Envoy chooses the route again then.
func (s *stream) removeOwn(name string) {
	s.rerouted = true
	if err := host.RemoveHeader(host.RequestHeaders, name); err != nil {
		s.fault(err)
	}
}
