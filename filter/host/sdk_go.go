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

// Every calls OnTick of this plugin again and again, some milliseconds apart.
func Every(milliseconds uint32) error { return proxywasm.SetTickPeriodMilliSeconds(milliseconds) }

// Info logs at info.
func Info(msg string) { proxywasm.LogInfo(msg) }

// Error logs at error.
func Error(msg string) { proxywasm.LogError(msg) }
