//go:build wasm

package host

import (
	"errors"
	"strconv"
	"unsafe"

	"github.com/weir-mesh/weir/filter/internal/host/pairs"
)

// The ABI is proxy-wasm 0.2.1. The host returns bytes by calling the module's malloc or proxy_on_memory_allocate and
// writing the address and the size to the given pointers. A Go pointer has 8 bytes, of which it writes 4.

//go:wasmimport env proxy_get_property
//go:noescape
func proxyGetProperty(path *byte, pathSize int32, data unsafe.Pointer, size *int32) uint32

//go:wasmimport env proxy_set_property
//go:noescape
func proxySetProperty(path *byte, pathSize int32, value *byte, valueSize int32) uint32

//go:wasmimport env proxy_get_header_map_pairs
//go:noescape
func proxyGetHeaderMapPairs(m uint32, data unsafe.Pointer, size *int32) uint32

//go:wasmimport env proxy_get_header_map_value
//go:noescape
func proxyGetHeaderMapValue(m uint32, key *byte, keySize int32, data unsafe.Pointer, size *int32) uint32

//go:wasmimport env proxy_add_header_map_value
//go:noescape
func proxyAddHeaderMapValue(m uint32, key *byte, keySize int32, value *byte, valueSize int32) uint32

//go:wasmimport env proxy_replace_header_map_value
//go:noescape
func proxyReplaceHeaderMapValue(m uint32, key *byte, keySize int32, value *byte, valueSize int32) uint32

//go:wasmimport env proxy_remove_header_map_value
//go:noescape
func proxyRemoveHeaderMapValue(m uint32, key *byte, keySize int32) uint32

//go:wasmimport env proxy_set_header_map_pairs
//go:noescape
func proxySetHeaderMapPairs(m uint32, pairs *byte, size int32) uint32

//go:wasmimport env proxy_get_buffer_bytes
//go:noescape
func proxyGetBufferBytes(b uint32, start, length int32, data unsafe.Pointer, size *int32) uint32

//go:wasmimport env proxy_get_shared_data
//go:noescape
func proxyGetSharedData(key *byte, keySize int32, data unsafe.Pointer, size *int32, cas *uint32) uint32

//go:wasmimport env proxy_set_shared_data
//go:noescape
func proxySetSharedData(key *byte, keySize int32, value *byte, valueSize int32, cas uint32) uint32

//go:wasmimport env proxy_send_local_response
//go:noescape
func proxySendLocalResponse(status uint32, details *byte, detailsSize int32, body *byte, bodySize int32,
	headers *byte, headersSize int32, grpc int32) uint32

//go:wasmimport env proxy_define_metric
//go:noescape
func proxyDefineMetric(kind uint32, name *byte, nameSize int32, id *uint32) uint32

//go:wasmimport env proxy_increment_metric
//go:noescape
func proxyIncrementMetric(id uint32, offset int64) uint32

//go:wasmimport env proxy_record_metric
//go:noescape
func proxyRecordMetric(id uint32, value uint64) uint32

//go:wasmimport env proxy_get_metric
//go:noescape
func proxyGetMetric(id uint32, value *uint64) uint32

//go:wasmimport wasi_snapshot_preview1 clock_time_get
//go:noescape
func clockTimeGet(id uint32, precision uint64, time *uint64) uint32

//go:wasmimport wasi_snapshot_preview1 random_get
//go:noescape
func randomGet(data *byte, size uint32) uint32

//go:wasmimport env proxy_log
//go:noescape
func proxyLog(level uint32, text *byte, size int32) uint32

//go:wasmimport env proxy_set_tick_period_milliseconds
//go:noescape
func proxySetTickPeriodMilliseconds(period uint32) uint32

//go:wasmimport env proxy_register_shared_queue
//go:noescape
func proxyRegisterSharedQueue(name *byte, nameSize int32, id *uint32) uint32

//go:wasmimport env proxy_enqueue_shared_queue
//go:noescape
func proxyEnqueueSharedQueue(id uint32, value *byte, valueSize int32) uint32

//go:wasmimport env proxy_dequeue_shared_queue
//go:noescape
func proxyDequeueSharedQueue(id uint32, data unsafe.Pointer, size *int32) uint32

//go:wasmimport env proxy_http_call
//go:noescape
func proxyHTTPCall(cluster *byte, clusterSize int32, headers *byte, headersSize int32, body *byte, bodySize int32,
	trailers *byte, trailersSize int32, milliseconds uint32, id *uint32) uint32

//go:wasmimport env proxy_set_effective_context
//go:noescape
func proxySetEffectiveContext(id uint32) uint32

//go:wasmimport env proxy_continue_stream
//go:noescape
func proxyContinueStream(kind uint32) uint32

// Random fills 16 bytes from the host's secure source.
func Random() (b [16]byte, err error) {
	if errno := randomGet(&b[0], uint32(len(b))); errno != 0 {
		return b, errors.New("host: random_get: errno " + strconv.Itoa(int(errno)))
	}
	return b, nil
}

// The statuses of the ABI (proxy_status_t) that callers distinguish.
const (
	statusOK          = 0
	statusNotFound    = 1
	statusCASMismatch = 8
)

func statusError(call string, status uint32) error {
	switch status {
	case statusOK:
		return nil
	case statusNotFound:
		return ErrNotFound
	case statusCASMismatch:
		return ErrMismatch
	default:
		return errors.New("host: " + call + ": status " + strconv.Itoa(int(status)))
	}
}

// Now reads the machine's monotonic clock in nanoseconds: the same in every worker, untouched by NTP. Id 1 is
// CLOCK_MONOTONIC; the precision is ignored by Envoy.
func Now() int64 {
	var t uint64
	clockTimeGet(1, 0, &t)
	return int64(t)
}

// Wall reads the time of day in seconds since 1970, which NTP adjusts: for logs and HTTP dates. Id 0 is CLOCK_REALTIME.
func Wall() int64 { return WallNano() / 1e9 }

// WallNano reads the time of day in nanoseconds since 1970.
func WallNano() int64 {
	var t uint64
	clockTimeGet(0, 0, &t)
	return int64(t)
}

// Property reads one of Envoy's attributes, or ErrNotFound.
func Property(p Path) ([]byte, error) {
	var data *byte
	var size int32
	status := proxyGetProperty(unsafe.StringData(string(p)), int32(len(p)), unsafe.Pointer(&data), &size)
	if status != statusOK {
		return nil, statusError("get_property", status)
	}
	return unsafe.Slice(data, size), nil
}

// SetProperty sets an object of the stream's filter state. The value is not empty.
func SetProperty(p Path, value []byte) error {
	return statusError("set_property", proxySetProperty(unsafe.StringData(string(p)), int32(len(p)), &value[0], int32(len(value))))
}

// All reads a whole map.
func All(m Map) (Headers, error) {
	var data *byte
	var size int32
	status := proxyGetHeaderMapPairs(uint32(m), unsafe.Pointer(&data), &size)
	if status != statusOK {
		return nil, statusError("get_header_map_pairs", status)
	}
	return unsafe.Slice(data, size), nil
}

// Header reads one value of a map, or ErrNotFound.
func Header(m Map, name string) (string, error) {
	var data *byte
	var size int32
	status := proxyGetHeaderMapValue(uint32(m), unsafe.StringData(name), int32(len(name)), unsafe.Pointer(&data), &size)
	if status != statusOK {
		return "", statusError("get_header_map_value", status)
	}
	return text(unsafe.Slice(data, size)), nil
}

// Bytes reads length bytes of a buffer from start on, or as many as there are.
func Bytes(b Buffer, start, length int) ([]byte, error) {
	var data *byte
	var size int32
	status := proxyGetBufferBytes(uint32(b), int32(start), int32(length), unsafe.Pointer(&data), &size)
	if status != statusOK {
		return nil, statusError("get_buffer_bytes", status)
	}
	return unsafe.Slice(data, size), nil
}

// AddHeader adds a value to a map.
func AddHeader(m Map, name, value string) error {
	return statusError("add_header_map_value", proxyAddHeaderMapValue(uint32(m),
		unsafe.StringData(name), int32(len(name)), unsafe.StringData(value), int32(len(value))))
}

// ReplaceHeader makes value the only one under name.
func ReplaceHeader(m Map, name, value string) error {
	return statusError("replace_header_map_value", proxyReplaceHeaderMapValue(uint32(m),
		unsafe.StringData(name), int32(len(name)), unsafe.StringData(value), int32(len(value))))
}

// RemoveHeader removes all values under name.
func RemoveHeader(m Map, name string) error {
	return statusError("remove_header_map_value", proxyRemoveHeaderMapValue(uint32(m),
		unsafe.StringData(name), int32(len(name))))
}

// ReplaceAll makes these pairs the whole map, the pseudo-headers with them.
func ReplaceAll(m Map, headers [][2]string) error {
	packed := pairs.Pack(headers)
	return statusError("set_header_map_pairs", proxySetHeaderMapPairs(uint32(m), unsafe.SliceData(packed), int32(len(packed))))
}

// GetSharedData reads a key of shared data and its cas, or ErrNotFound.
func GetSharedData(key string) ([]byte, uint32, error) {
	var data *byte
	var size int32
	var cas uint32
	status := proxyGetSharedData(unsafe.StringData(key), int32(len(key)), unsafe.Pointer(&data), &size, &cas)
	if status != statusOK {
		return nil, 0, statusError("get_shared_data", status)
	}
	return unsafe.Slice(data, size), cas, nil
}

// SetSharedData stores a value where cas still holds, or ErrMismatch.
func SetSharedData(key string, value []byte, cas uint32) error {
	return statusError("set_shared_data", proxySetSharedData(unsafe.StringData(key), int32(len(key)),
		unsafe.SliceData(value), int32(len(value)), cas))
}

// SendLocalReply sends a local reply on the stream. The callback that called it returns Pause.
func SendLocalReply(r LocalReply) error {
	headers := pairs.Pack(r.Headers)
	return statusError("send_local_response", proxySendLocalResponse(uint32(r.Status),
		unsafe.StringData(r.Details), int32(len(r.Details)), unsafe.SliceData(r.Body), int32(len(r.Body)),
		unsafe.SliceData(headers), int32(len(headers)), int32(r.GRPC)))
}

func defineMetric(kind uint32, name string) (uint32, error) {
	var id uint32
	status := proxyDefineMetric(kind, unsafe.StringData(name), int32(len(name)), &id)
	return id, statusError("define_metric "+name, status)
}

func incrementMetric(id uint32, by int64) { proxyIncrementMetric(id, by) }

func recordMetric(id uint32, value uint64) { proxyRecordMetric(id, value) }

func getMetric(id uint32) (value uint64, err error) {
	status := proxyGetMetric(id, &value)
	return value, statusError("get_metric", status)
}

// pluginConfiguration is the buffer of PluginConfiguration.
const pluginConfiguration Buffer = 7

// PluginConfiguration appends the configuration of the plugin that starts just now, nothing if there is none. It comes in pieces
// that the arena has room for: TinyGo's collector takes any word of the module's constants for a pointer, and such a word keeps
// most blocks of 64 KiB for ever. A document of 1,000 clusters has 420 KB, and each reload would leave one behind.
func PluginConfiguration(to []byte) ([]byte, error) {
	const (
		piece             = arenaSize / 2
		configurationRoom = 1 << 10 // so that the next configuration, which is some bytes longer, fits
	)
	if cap(to) < current.configurationSize {
		to = make([]byte, 0, current.configurationSize+configurationRoom) // append would round up to a power of two
	}
	for left := current.configurationSize; left > 0; {
		ReuseMemory()
		bytes, err := Bytes(pluginConfiguration, current.configurationSize-left, min(left, piece))
		if err != nil || len(bytes) == 0 {
			return to, err
		}
		to = append(to, bytes...)
		left -= len(bytes)
	}
	return to, nil
}

// Every sets the period of this plugin's OnTick in milliseconds, 0: never. It may be called again at any time, by a
// callback of the plugin or of a stream; the new period begins then.
func Every(milliseconds uint32) error {
	return statusError("set_tick_period", proxySetTickPeriodMilliseconds(milliseconds))
}

// RegisterQueue makes a queue that wakes this plugin, by OnQueueReady, in this worker.
func RegisterQueue(name string) (id uint32, err error) {
	status := proxyRegisterSharedQueue(unsafe.StringData(name), int32(len(name)), &id)
	return id, statusError("register_shared_queue", status)
}

// Enqueue wakes the plugin whose queue it is.
func Enqueue(id uint32) error {
	const wake = "1"
	return statusError("enqueue_shared_queue", proxyEnqueueSharedQueue(id, unsafe.StringData(wake), int32(len(wake))))
}

// Drain empties a queue.
func Drain(id uint32) {
	for {
		var data *byte
		var size int32
		if proxyDequeueSharedQueue(id, unsafe.Pointer(&data), &size) != statusOK {
			return
		}
	}
}

// Dispatch sends a request to a cluster; call it from a plugin's callback: such a call outlives every stream. ended is called
// once, in the plugin's context. An error means that the request was not sent: there is no such cluster, or Envoy answered at
// once (no healthy host, too many requests). Envoy can't send trailers.
func Dispatch(cluster string, headers [][2]string, body []byte, milliseconds uint32, ended func(bodySize int)) (id uint32, err error) {
	packed, trailers := pairs.Pack(headers), pairs.Pack(nil)
	status := proxyHTTPCall(unsafe.StringData(cluster), int32(len(cluster)), unsafe.SliceData(packed), int32(len(packed)),
		unsafe.SliceData(body), int32(len(body)), unsafe.SliceData(trailers), int32(len(trailers)), milliseconds, &id)
	if status != statusOK {
		return 0, statusError("http_call", status)
	}
	current.called(id, ended)
	return id, nil
}

// Enter makes the next host calls those of a stream, or of a plugin.
func Enter(id uint32) error {
	return statusError("set_effective_context", proxySetEffectiveContext(id))
}

// The kinds of streams of proxy_continue_stream (proxy_stream_type_t).
const (
	streamRequest  = 0
	streamResponse = 1
)

// ResumeRequest continues the entered stream's request.
func ResumeRequest() error { return statusError("continue_stream", proxyContinueStream(streamRequest)) }

// ResumeResponse continues the entered stream's response.
func ResumeResponse() error {
	return statusError("continue_stream", proxyContinueStream(streamResponse))
}

func logLine(level uint32, line string) { proxyLog(level, unsafe.StringData(line), int32(len(line))) }
