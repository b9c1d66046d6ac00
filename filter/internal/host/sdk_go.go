//go:build !tinygo

package host

import (
	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm"
	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm/types"
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

// What callbacks answer.
const (
	Continue    = types.ActionContinue
	Pause       = types.ActionPause
	StartOK     = types.OnPluginStartStatusOK
	StartFailed = types.OnPluginStartStatusFailed
)

// Register makes vm the module's entry point; call it once, from init.
func Register(vm VMContext) { proxywasm.SetVMContext(vm) }

// PluginConfiguration is the plugin's configuration as it was given, empty where there is none.
func PluginConfiguration() ([]byte, error) {
	raw, err := proxywasm.GetPluginConfiguration()
	if err == types.ErrorStatusNotFound {
		return nil, nil
	}
	return raw, err
}

// Every calls OnTick of this plugin again and again, some milliseconds apart; 0: no more. It may be called again at any time, by
// a plugin's callback or a stream's, and counts from then on.
func Every(milliseconds uint32) error { return proxywasm.SetTickPeriodMilliSeconds(milliseconds) }

// RegisterQueue makes a queue that wakes this plugin, by OnQueueReady, in this worker.
func RegisterQueue(name string) (id uint32, err error) { return proxywasm.RegisterSharedQueue(name) }

// Enqueue wakes the plugin whose queue it is.
func Enqueue(id uint32) error { return proxywasm.EnqueueSharedQueue(id, wake) }

// Drain takes everything out of a queue.
func Drain(id uint32) {
	for {
		if _, err := proxywasm.DequeueSharedQueue(id); err != nil {
			return
		}
	}
}

var wake = []byte{1}

// Dispatch sends a request to a cluster. Made from a plugin's callback it outlives every stream; ended is told then, in the
// plugin's context, once. An error is a request that was not sent: there is no such cluster, or Envoy answered it at
// once by itself (no healthy host, too many requests). Envoy has no way to send trailers.
func Dispatch(cluster string, headers [][2]string, body []byte, milliseconds uint32, ended func(bodySize int)) (id uint32, err error) {
	return proxywasm.DispatchHttpCall(cluster, headers, body, nil, milliseconds, func(_, bodySize, _ int) { ended(bodySize) })
}

// Enter makes the next host calls those of a stream.
func Enter(stream uint32) error { return proxywasm.SetEffectiveContext(stream) }

// ResumeRequest lets the entered stream's request go on.
func ResumeRequest() error { return proxywasm.ResumeHttpRequest() }

// ResumeResponse lets the entered stream's answer go on.
func ResumeResponse() error { return proxywasm.ResumeHttpResponse() }

// The SDK's log calls, for log.go.
func logDebug(line string) { proxywasm.LogDebug(line) }
func logInfo(line string)  { proxywasm.LogInfo(line) }
func logWarn(line string)  { proxywasm.LogWarn(line) }
func logError(line string) { proxywasm.LogError(line) }
