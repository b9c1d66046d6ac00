package instructions

import "encoding/json"

type object = map[string]any

const filters = "type.googleapis.com/envoy.extensions.filters."

// filter is an HTTP filter of Envoy's configuration.
func filter(message string, config object) object {
	config["@type"] = filters + message
	return object{"name": "filter", "typed_config": config}
}

// module is a filter compiled to Wasm, with a configuration.
func module(file string, configuration json.RawMessage) object {
	return filter("http.wasm.v3.Wasm", object{"config": object{
		"name": "weir", "root_id": "weir", "failure_policy": "FAIL_RELOAD",
		"configuration": object{"@type": "type.googleapis.com/google.protobuf.StringValue", "value": string(configuration)},
		"vm_config":     object{"vm_id": "weir", "runtime": "envoy.wasm.runtime.v8", "code": object{"local": object{"filename": file}}},
	}})
}

func localRateLimit() object {
	always := object{"default_value": object{"numerator": 100, "denominator": "HUNDRED"}, "runtime_key": "x"}
	return filter("http.local_ratelimit.v3.LocalRateLimit", object{
		"stat_prefix": "x", "filter_enabled": always, "filter_enforced": always,
		"token_bucket": object{"max_tokens": 1000000, "tokens_per_fill": 1000000, "fill_interval": "1s"},
	})
}

func admissionControl() object {
	return filter("http.admission_control.v3.AdmissionControl", object{
		"enabled": object{"default_value": true, "runtime_key": "y"},
		"success_criteria": object{
			"http_criteria": object{"http_success_status": []object{{"start": 200, "end": 499}}},
			"grpc_criteria": object{"grpc_success_status": []int{0}},
		},
	})
}

// lua reads a header of the request and one of the response.
func lua() object {
	return filter("http.lua.v3.Lua", object{"default_source_code": object{"inline_string": `
function envoy_on_request(handle) local path = handle:headers():get(":path") end
function envoy_on_response(handle) local status = handle:headers():get(":status") end`}})
}
