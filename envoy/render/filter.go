package render

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	httpwasmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/wasm/v3"
	wasmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/wasm/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

const (
	// filterName is the name of the filter, of its root context and of its VM. State in shared data belongs to the
	// vm_id, which must therefore stay the same over reloads.
	filterName  = "weir"
	wasmTypeURL = "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm"
	wasmRuntime = "envoy.wasm.runtime.v8"
	// reloadPause is the shortest time between two new VMs of a worker whose VM crashes.
	reloadPause = 100 * time.Millisecond
)

// Filter renders the filter alone, as an element of an HTTP filter chain.
func Filter(o Options) (*corev3.TypedExtensionConfig, error) {
	return filterNamed(filterName, o.withDefaults())
}

// Reload is how soon a worker whose VM has crashed gets a new one. Envoy's default pause between two reloads is a second, during
// which the worker answers every request with 503. A reload takes some 20 ms.
func Reload() *wasmv3.ReloadConfig {
	return &wasmv3.ReloadConfig{Backoff: &corev3.BackoffStrategy{BaseInterval: durationpb.New(reloadPause)}}
}

// filterNamed renders an instance of the filter under another name, with the same root context and VM.
func filterNamed(name string, o Options) (*corev3.TypedExtensionConfig, error) {
	configuration, err := configuration(o)
	if err != nil {
		return nil, err
	}
	environment, err := environment(o)
	if err != nil {
		return nil, err
	}
	typed, err := anypb.New(&httpwasmv3.Wasm{Config: &wasmv3.PluginConfig{
		Name:   name,
		RootId: filterName,
		Vm: &wasmv3.PluginConfig_VmConfig{VmConfig: &wasmv3.VmConfig{
			VmId:    filterName,
			Runtime: wasmRuntime,
			Code: &corev3.AsyncDataSource{Specifier: &corev3.AsyncDataSource_Local{Local: &corev3.DataSource{
				Specifier: &corev3.DataSource_Filename{Filename: o.Wasm},
			}}},
			EnvironmentVariables: environment,
		}},
		Configuration: configuration,
		// After a trap the next request gets a new VM. State is in Envoy's shared data, so it is still there.
		FailurePolicy: wasmv3.FailurePolicy_FAIL_RELOAD,
		ReloadConfig:  Reload(),
	}})
	if err != nil {
		return nil, err
	}
	filter := &corev3.TypedExtensionConfig{Name: name, TypedConfig: typed}
	if err := validate(filter); err != nil {
		return nil, err
	}
	return filter, nil
}

// configuration is the policy in one of the two forms that the filter reads. A policy that a Struct would change on its
// way through a YAML file is always a StringValue.
func configuration(o Options) (*anypb.Any, error) {
	if o.StringValue || fractionInData(o.Policy) {
		var compact bytes.Buffer
		if err := json.Compact(&compact, o.Policy); err != nil {
			return nil, fmt.Errorf("policy: not JSON: %w", err)
		}
		return anypb.New(wrapperspb.String(compact.String()))
	}
	document := &structpb.Struct{}
	if err := protojson.Unmarshal(o.Policy, document); err != nil {
		return nil, fmt.Errorf("policy: not a JSON object: %w", err)
	}
	// Deterministic bytes: the same policy gives the same configuration, so that Envoy ignores a reload that changes
	// nothing.
	packed := &anypb.Any{}
	if err := anypb.MarshalFrom(packed, document, proto.MarshalOptions{Deterministic: true}); err != nil {
		return nil, err
	}
	return packed, nil
}

// environment has the values for `${NAME}` in the policy. A name that is given both ways is an error here, since
// Envoy's own message for it does not say where the name is.
func environment(o Options) (*wasmv3.EnvironmentVariables, error) {
	if len(o.Env) == 0 && len(o.HostEnv) == 0 {
		return nil, nil
	}
	hostEnv := slices.Compact(slices.Sorted(slices.Values(o.HostEnv)))
	for _, name := range hostEnv {
		if _, both := o.Env[name]; both {
			return nil, fmt.Errorf("environment variable %s: given with a value and taken from Envoy's environment; choose one", name)
		}
	}
	return &wasmv3.EnvironmentVariables{HostEnvKeys: hostEnv, KeyValues: o.Env}, nil
}
