package schema

import (
	"slices"
	"strconv"
	"strings"

	"github.com/weir-mesh/weir/policy"
)

// addRules adds what the decoder says about several keys together.
func addRules(document, cluster object) {
	document["anyOf"] = []any{needs("clusters"), needs("default"), needs("policies"), needs("admin"), needs("attempts")}
	document["dependencies"] = object{
		"admin":    without("clusters", "default", "policies", "redis"),
		"attempts": without("clusters", "default", "policies", "redis", "admin"),
	}
	noMesh := object{"properties": object{"rate_limit": object{"properties": object{"scope": object{"not": object{"const": "mesh"}}}}}}
	document["if"] = needs("redis")
	document["else"] = object{"properties": object{
		"clusters": object{"additionalProperties": noMesh}, "policies": object{"additionalProperties": noMesh}, "default": noMesh,
	}}

	section := func(names ...string) object {
		s := cluster
		for _, name := range names {
			s = s["properties"].(object)[name].(object)
		}
		return s
	}
	section("rate_limit")["dependencies"] = object{"requests_per_minute": without("requests")}
	failover := section("failover")
	failover["required"] = []string{"to"}
	failover["properties"].(object)["to"].(object)["minItems"] = 1

	fallback := section("fallback")["properties"].(object)
	fallback["true"] = object{"description": "`on`, as YAML 1.1 reads it.", "allOf": []any{fallback["on"]}}

	empty := object{"properties": object{"body": object{"const": ""}}}
	byPath := section("fallback", "default_data_by_path")["additionalProperties"].(object)
	for _, data := range []object{section("fallback", "default_data"), byPath} {
		data["if"] = object{"properties": object{"status": object{"enum": []int{204, 205, 304}}}, "required": []string{"status"}}
		data["then"] = empty
	}

	driver := func(word string) object { return object{"properties": object{"driver": object{"const": word}}} }
	byFilter := driver("filter")
	byFilter["required"] = []string{"driver"}
	section("retry")["allOf"] = []any{
		object{"if": byFilter, "then": object{
			"required": []string{"via"},
			"properties": object{
				"via":      object{"minLength": 1},
				"retry_on": object{"items": object{"not": matching("^grpc:")}},
			},
		}},
		object{"if": driver("envoy"), "then": object{"properties": object{
			"exponential_base": orVariable(object{"const": 2}),
			"jitter":           orVariable(object{"const": true}),
			"retry_on":         object{"items": object{"anyOf": []any{object{"not": matching("^grpc:")}, routerGRPC()}}},
		}}},
	}
}

func needs(key string) object { return object{"required": []string{key}} }

func without(keys ...string) object {
	none := object{}
	for _, key := range keys {
		none[key] = false
	}
	return object{"properties": none}
}

// routerGRPC are the gRPC codes on which Envoy's router can retry.
func routerGRPC() object {
	var names, numbers []string
	for code, name := range policy.GRPCCodes() {
		if policy.RouterGRPC(code) != "" {
			names = append(names, name)
			numbers = append(numbers, strconv.Itoa(code))
		}
	}
	return matching("^grpc:(" + strings.Join(slices.Concat(names, []string{`\+?0*(` + strings.Join(numbers, "|") + ")"}), "|") + ")$")
}
