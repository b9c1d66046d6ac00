// Package host is the border to the proxy: proxy-wasm's ABI, for both toolchains, without an SDK.
//
//	exports_wasm.go  what the host calls                   callbacks.go  what implements it
//	contexts.go      the plugins and streams of a VM, by the host's numbers
//	abi_wasm.go      what the host is called for           memory.go     how long its bytes last
//	abi_native.go    the same functions for a native build, where all but the clocks fail (go vet)
//
// Strings and byte slices that come from here last until the stream's callback returns, see memory.go.
package host

import "errors"

// Errors of host calls that callers distinguish. Any other failure is an error with the host's status.
var (
	ErrNotFound = errors.New("host: not found")
	ErrMismatch = errors.New("host: cas mismatch")
)

// Map names a map of headers or trailers. The numbers are the ABI's (proxy-wasm 0.2.1, proxy_map_type_t).
type Map uint32

// The maps of a stream.
const (
	RequestHeaders   Map = 0
	RequestTrailers  Map = 1
	ResponseHeaders  Map = 2
	ResponseTrailers Map = 3
	CallHeaders      Map = 6 // of the response to a Dispatch
	CallTrailers     Map = 7
)

// Buffer names a buffer of bytes. The numbers are the ABI's (proxy_buffer_type_t).
type Buffer uint32

// The buffers of a stream. A body's buffer holds the part that the running callback passes.
const (
	RequestBody  Buffer = 0
	ResponseBody Buffer = 1
	CallBody     Buffer = 4 // of the response to a Dispatch
)

// Path is a property's path in the form that the host reads: its parts with a NUL between them.
type Path string

// Properties of Envoy's attributes that the filter reads.
const (
	// The name of a policy, in the metadata of the route and of its cluster: filter_metadata: {weir: {policy: NAME}}.
	RoutePolicy   Path = "xds\x00route_metadata\x00filter_metadata\x00weir\x00policy"
	ClusterPolicy Path = "xds\x00cluster_metadata\x00filter_metadata\x00weir\x00policy"

	ClusterName         Path = "xds\x00cluster_name"
	ResponseCodeDetails Path = "response\x00code_details"
	RequestAttempts     Path = "upstream\x00request_attempt_count" // of the router, 8 bytes
	// SourceAddress is the client's with its port, as Envoy trusts it (use_remote_address, xff_num_trusted_hops).
	SourceAddress Path = "source\x00address"
	RequestTime   Path = "request\x00time" // when the stream began, nanoseconds of Unix time, 8 bytes
	// DestinationAddress is the listener's, envoy://NAME/… for an internal one.
	DestinationAddress Path = "destination\x00address"
	RouteName          Path = "xds\x00route_name"
	VirtualHostName    Path = "xds\x00virtual_host_name"
	ListenerDirection  Path = "xds\x00listener_direction" // 8 bytes
	// MTLS is one byte, 1 where the client of the connection presented a certificate.
	MTLS Path = "connection\x00mtls"
	// Metadata is all dynamic metadata of the stream as the message envoy.config.core.v3.Metadata, empty where there is none.
	Metadata Path = "metadata"
	VMID     Path = "plugin_vm_id"

	// Of the proxy, see Proxy.
	NodeID       Path = "xds\x00node\x00id"
	VersionMajor Path = "xds\x00node\x00user_agent_build_version\x00version\x00major_number" // 8 bytes, as the next two
	VersionMinor Path = "xds\x00node\x00user_agent_build_version\x00version\x00minor_number"
	VersionPatch Path = "xds\x00node\x00user_agent_build_version\x00version\x00patch"
)

// Proxy reads an attribute of the proxy, also where there is no stream. Before Envoy 1.36 they were not below xds.
func Proxy(p Path) ([]byte, error) {
	value, err := Property(p)
	if err != nil {
		value, err = Property(p[len("xds\x00"):])
	}
	return value, err
}

// Names of the filter state's objects that the filter writes. Envoy puts `wasm.` before them.
const (
	LoggedDecision  Path = "weir.decision"
	LoggedKey       Path = "weir.key"
	LoggedRemaining Path = "weir.remaining"
	LoggedBreaker   Path = "weir.breaker"
)

// LocalReply is a response that the filter makes itself.
type LocalReply struct {
	Status  int
	Details string // becomes %RESPONSE_CODE_DETAILS%; no white space
	Headers [][2]string
	Body    []byte
	GRPC    int // the gRPC status for a gRPC request, -1 otherwise; Body is then the grpc-message
}
