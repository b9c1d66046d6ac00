//go:build !wasm

package host

import (
	"errors"
	"time"
)

// A native build has no host to call: it exists so that Go's tools can check the filter. The filter itself is tested
// compiled, under the SDK's emulator and in a real Envoy.
var errNoHost = errors.New("host: this build is no Wasm module")

var processStart = time.Now()

// Now reads a monotonic clock in nanoseconds.
func Now() int64 { return int64(time.Since(processStart)) + 1 }

// Wall reads the time of day in seconds since 1970.
func Wall() int64 { return time.Now().Unix() }

// WallNano reads the time of day in nanoseconds since 1970.
func WallNano() int64 { return time.Now().UnixNano() }

// Random fills 16 bytes from the host's secure source.
func Random() (b [16]byte, err error) { return b, errNoHost }

// Property reads one of Envoy's attributes, or ErrNotFound.
func Property(Path) ([]byte, error) { return nil, errNoHost }

// All reads a whole map.
func All(Map) (Headers, error) { return nil, errNoHost }

// Header reads one value of a map, or ErrNotFound.
func Header(Map, string) (string, error) { return "", errNoHost }

// Bytes reads length bytes of a buffer from start on, or as many as there are.
func Bytes(Buffer, int, int) ([]byte, error) { return nil, errNoHost }

// AddHeader adds a value to a map.
func AddHeader(Map, string, string) error { return errNoHost }

// SetProperty sets an object of the stream's filter state. The value is not empty.
func SetProperty(Path, []byte) error { return errNoHost }

// ReplaceHeader makes value the only one under name.
func ReplaceHeader(Map, string, string) error { return errNoHost }

// RemoveHeader removes all values under name.
func RemoveHeader(Map, string) error { return errNoHost }

// ReplaceAll makes these pairs the whole map, the pseudo-headers with them.
func ReplaceAll(Map, [][2]string) error { return errNoHost }

// GetSharedData reads a key of shared data and its cas, or ErrNotFound.
func GetSharedData(string) ([]byte, uint32, error) { return nil, 0, errNoHost }

// SetSharedData stores a value where cas still holds, or ErrMismatch.
func SetSharedData(string, []byte, uint32) error { return errNoHost }

// SendLocalReply sends a local reply on the stream. The callback that called it returns Pause.
func SendLocalReply(LocalReply) error { return errNoHost }

func defineMetric(uint32, string) (uint32, error) { return 0, errNoHost }

func incrementMetric(uint32, int64) {}

func recordMetric(uint32, uint64) {}

func getMetric(uint32) (uint64, error) { return 0, errNoHost }

// Register makes vm the module's entry point.
func Register(VMContext) {}

// PluginConfiguration appends the configuration of the plugin that starts just now.
func PluginConfiguration([]byte) ([]byte, error) { return nil, errNoHost }

// Every sets the period of this plugin's OnTick in milliseconds.
func Every(uint32) error { return errNoHost }

// RegisterQueue makes a queue that wakes this plugin.
func RegisterQueue(string) (id uint32, err error) { return 0, errNoHost }

// Enqueue wakes the plugin whose queue it is.
func Enqueue(uint32) error { return errNoHost }

// Drain empties a queue.
func Drain(uint32) {}

// Dispatch sends a request to a cluster.
func Dispatch(string, [][2]string, []byte, uint32, func(bodySize int)) (id uint32, err error) {
	return 0, errNoHost
}

// Enter makes the next host calls those of a stream, or of a plugin.
func Enter(uint32) error { return errNoHost }

// ResumeRequest continues the entered stream's request.
func ResumeRequest() error { return errNoHost }

// ResumeResponse continues the entered stream's response.
func ResumeResponse() error { return errNoHost }

func logLine(uint32, string) {}
