package localreply

import (
	"encoding/base64"
	"encoding/binary"
	"strconv"
	"strings"

	"github.com/weir-mesh/weir/policy/header"
)

// Protocol is the protocol of a remote call over HTTP whose clients don't read problem details. gRPC itself is not among
// them: Envoy makes its replies.
type Protocol uint8

// The protocols.
const (
	PlainHTTP    Protocol = iota
	GRPCWeb               // application/grpc-web: the trailers are in the body
	GRPCWebText           // application/grpc-web-text: the same in base64
	ConnectUnary          // connect-protocol-version, or IsConnectGet
	ConnectProto          // application/connect+proto, a stream: the error is in the last message
	ConnectJSON           // application/connect+json, the same
)

// ProtocolOf reads a request's content-type. A unary Connect call in JSON has the content-type of any JSON: it is known by
// its header connect-protocol-version.
func ProtocolOf(contentType string) Protocol {
	switch {
	case strings.HasPrefix(contentType, "application/grpc-web-text"):
		return GRPCWebText
	case strings.HasPrefix(contentType, "application/grpc-web"):
		return GRPCWeb
	case strings.HasPrefix(contentType, "application/connect+json"):
		return ConnectJSON
	case strings.HasPrefix(contentType, "application/connect+"):
		return ConnectProto
	}
	return PlainHTTP
}

// IsConnectGet reports whether a target is that of a unary Connect call by GET, which has neither that header nor a
// content-type:
//
//	/package.Service/Method?connect=v1&encoding=json&message=…
func IsConnectGet(target string) bool {
	_, query, found := strings.Cut(target, "?")
	return found && hasPair(query, "connect=v1", true) && hasPair(query, "encoding=", false) && hasPair(query, "message=", false)
}

// hasPair reports whether a query has this pair, or one that begins with it.
func hasPair(query, pair string, whole bool) bool {
	for query != "" {
		var next string
		next, query, _ = strings.Cut(query, "&")
		if next == pair || !whole && strings.HasPrefix(next, pair) {
			return true
		}
	}
	return false
}

// The flags of a message's prefix: one byte of flags, four of length, big endian.
const (
	grpcWebTrailers  = 0x80
	connectEndStream = 0x02
)

// refuse writes a refusal in the client's protocol.
//
//	gRPC-Web         200, 0x80 length "grpc-status: 14\r\ngrpc-message: BulkheadFull\r\n"
//	Connect, unary   503, {"code":"unavailable","message":"BulkheadFull"}
//	Connect, stream  200, 0x02 length {"error":{"code":"unavailable","message":"BulkheadFull"}}
func (r *refusal) refuse(p Protocol, reply *Reply, headers []header.Pair) []header.Pair {
	kind := ""
	switch p {
	case GRPCWeb, GRPCWebText:
		kind = "application/grpc-web+proto"
		reply.Status = 200
		reply.Body = framed(grpcWebTrailers, "grpc-status: "+strconv.Itoa(r.grpc)+"\r\ngrpc-message: "+r.title+"\r\n")
		if p == GRPCWebText {
			kind, reply.Body = "application/grpc-web-text+proto", base64.StdEncoding.AppendEncode(nil, reply.Body)
		}
	case ConnectUnary:
		kind, reply.Status, reply.Body = "application/json", r.status, []byte(r.connectError())
	case ConnectProto, ConnectJSON: // the last message is JSON in both
		kind, reply.Status, reply.Body = "application/connect+proto", 200, framed(connectEndStream, `{"error":`+r.connectError()+`}`)
		if p == ConnectJSON {
			kind = "application/connect+json"
		}
	case PlainHTTP:
	}
	return append(headers, header.Pair{"content-type", kind})
}

// connectError is Connect's error in JSON. The title needs no escapes.
func (r *refusal) connectError() string {
	code := "unavailable"
	if r.grpc == grpcResourceExhausted {
		code = "resource_exhausted"
	}
	return `{"code":"` + code + `","message":"` + r.title + `"}`
}

// framed is a message with its prefix.
func framed(flags byte, message string) []byte {
	b := binary.BigEndian.AppendUint32([]byte{flags}, uint32(len(message)))
	return append(b, message...)
}
