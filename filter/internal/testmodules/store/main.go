// Command store is a Wasm filter for one test: it runs the conformance suite of sharedstate.Store on Envoy's shared
// data, through the same host package as Weir, and answers each request itself. It is built as Weir is,
// by either toolchain.
//
//	GET /case    runs the case that weir-test-name names
//	GET /step    runs one step of the race that it names; the body is its score, {"Won": 1, "Lost": 2}
//	GET /check   checks the race, by the scores in weir-test-scores, {CALLER: {"Won": 1, "Lost": 2}}
//
// weir-test-prefix begins each key. The response is 200, or 500 with the error. Its header weir-test-vm is the number
// of the VM it came from, weir-test-caller the name of the request.
package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"

	"github.com/weir-mesh/weir/filter/internal/host"
	"github.com/weir-mesh/weir/filter/internal/shareddata"
	"github.com/weir-mesh/weir/sharedstate/storetest"
)

func init() { host.Register(&vm{id: strconv.FormatUint(rand.Uint64(), 36)}) }

func main() {}

type vm struct {
	id string
}

// NewPluginContext implements host.VMContext.
func (v *vm) NewPluginContext(uint32) host.PluginContext { return &plugin{id: v.id} }

type plugin struct {
	host.DefaultPluginContext
	id string
}

// NewHTTPContext implements host.PluginContext.
func (p *plugin) NewHTTPContext(n uint32) host.HTTPContext {
	return &stream{vm: p.id, caller: fmt.Sprint(p.id, "-", n)}
}

type stream struct {
	host.DefaultHTTPContext
	vm, caller string
}

// OnHTTPRequestHeaders implements host.HTTPContext.
func (s *stream) OnHTTPRequestHeaders(int, bool) host.Action {
	status := 200
	body, err := s.answer()
	if err != nil {
		status, body = 500, err.Error()
	}
	err = host.SendLocalReply(host.LocalReply{
		Status: status, Details: "weir_test_store", Body: []byte(body), GRPC: -1,
		Headers: [][2]string{{"weir-test-vm", s.vm}, {"weir-test-caller", s.caller}},
	})
	if err != nil {
		host.Error("weir_test_store: " + err.Error())
	}
	return host.Pause
}

func (s *stream) answer() (body string, err error) {
	path, err := header(":path")
	if err != nil {
		return "", err
	}
	name, err := header("weir-test-name")
	if err != nil {
		return "", err
	}
	prefix, err := header("weir-test-prefix")
	if err != nil {
		return "", err
	}
	if path == "/case" {
		for _, c := range storetest.Cases {
			if c.Name == name {
				return "ok", c.Run(shareddata.Store{}, prefix)
			}
		}
		return "", fmt.Errorf("unknown case %q", name)
	}
	for _, race := range storetest.Races {
		if race.Name == name {
			return s.run(race, path, prefix)
		}
	}
	return "", fmt.Errorf("unknown race %q", name)
}

func (s *stream) run(race storetest.Race, path, prefix string) (body string, err error) {
	switch path {
	case "/step":
		score, err := race.Step(shareddata.Store{}, prefix, s.caller)
		if err != nil {
			return "", err
		}
		text, err := json.Marshal(score)
		return string(text), err
	case "/check":
		text, err := header("weir-test-scores")
		if err != nil {
			return "", err
		}
		var scores map[string]storetest.Score
		if err := json.Unmarshal([]byte(text), &scores); err != nil {
			return "", err
		}
		return "ok", race.Check(shareddata.Store{}, prefix, scores)
	}
	return "", fmt.Errorf("unknown path %s", path)
}

func header(name string) (string, error) {
	value, err := host.Header(host.RequestHeaders, name)
	if err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	return value, nil
}
