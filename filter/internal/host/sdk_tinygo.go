//go:build tinygo

package host

import (
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"
)

// The SDK's types under the names that the filter uses.
type (
	VMContext            = types.VMContext
	PluginContext        = types.PluginContext
	HTTPContext          = types.HttpContext
	DefaultVMContext     = types.DefaultVMContext
	DefaultPluginContext = types.DefaultPluginContext
	DefaultHTTPContext   = types.DefaultHttpContext
	Action               = types.Action
	StartStatus          = types.OnPluginStartStatus
)

// What callbacks return.
const (
	Continue    = types.ActionContinue
	Pause       = types.ActionPause
	StartOK     = types.OnPluginStartStatusOK
	StartFailed = types.OnPluginStartStatusFailed
)

// Register makes vm the module's entry point; call it once, from init.
func Register(vm VMContext) { proxywasm.SetVMContext(vm) }

// PluginConfiguration is the plugin's configuration, empty if there is none.
func PluginConfiguration() ([]byte, error) {
	raw, err := proxywasm.GetPluginConfiguration()
	if err == types.ErrorStatusNotFound {
		return nil, nil
	}
	return raw, err
}

// Every sets the period of this plugin's OnTick in milliseconds, 0: never. It may be called again at any time, by a
// callback of the plugin or of a stream; the new period begins then.
func Every(milliseconds uint32) error { return proxywasm.SetTickPeriodMilliSeconds(milliseconds) }

// RegisterQueue makes a queue that wakes this plugin, by OnQueueReady, in this worker.
func RegisterQueue(name string) (id uint32, err error) { return proxywasm.RegisterSharedQueue(name) }

// Enqueue wakes the plugin whose queue it is.
func Enqueue(id uint32) error { return proxywasm.EnqueueSharedQueue(id, wake) }

// Drain empties a queue.
func Drain(id uint32) {
	for {
		if _, err := proxywasm.DequeueSharedQueue(id); err != nil {
			return
		}
	}
}

var wake = []byte{1}

// Dispatch sends a request to a cluster. A call from a plugin's callback outlives every stream; ended is called once,
// in the plugin's context. An error means that the request was not sent: there is no such cluster, or Envoy answered at
// once (no healthy host, too many requests). Envoy can't send trailers.
func Dispatch(cluster string, headers [][2]string, body []byte, milliseconds uint32, ended func(bodySize int)) (id uint32, err error) {
	return proxywasm.DispatchHttpCall(cluster, headers, body, nil, milliseconds, func(_, bodySize, _ int) { ended(bodySize) })
}

// Enter makes the next host calls those of a stream.
func Enter(stream uint32) error { return proxywasm.SetEffectiveContext(stream) }

// ResumeRequest continues the entered stream's request.
func ResumeRequest() error { return proxywasm.ResumeHttpRequest() }

// ResumeResponse continues the entered stream's response.
func ResumeResponse() error { return proxywasm.ResumeHttpResponse() }

// The SDK's log calls, for log.go.
func logDebug(line string) { proxywasm.LogDebug(line) }
func logInfo(line string)  { proxywasm.LogInfo(line) }
func logWarn(line string)  { proxywasm.LogWarn(line) }
func logError(line string) { proxywasm.LogError(line) }
