package istio

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/weir-mesh/weir/e2e/engine"
)

// sidecar is an Envoy that Istio takes for the sidecar of a pod.
type sidecar struct {
	*engine.Envoy
	t   *testing.T
	url string
}

// bootstrapOf is as much of pilot-agent's bootstrap as the control plane sees. more is merged into it, as the agent does
// with a custom bootstrap.
func bootstrapOf(t *testing.T, app, ip string, controlPlane int, more string) *bootstrapv3.Bootstrap {
	t.Helper()
	b, merged := &bootstrapv3.Bootstrap{}, &bootstrapv3.Bootstrap{}
	text := fmt.Sprintf(`{
	"node": {"id": "sidecar~%[2]s~%[1]s.shop~shop.svc.cluster.local", "cluster": %[1]q, "metadata": {
		"NAMESPACE": "shop", "LABELS": {"app": %[1]q}, "INSTANCE_IPS": %[2]q, "CLUSTER_ID": "Kubernetes", "ISTIO_VERSION": "1.31.0",
		"INTERCEPTION_MODE": "NONE", "GENERATOR": ""}},
	"admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}}},
	"dynamic_resources": {
		"ads_config": {"api_type": "GRPC", "transport_api_version": "V3", "set_node_on_first_message_only": true,
			"grpc_services": [{"envoy_grpc": {"cluster_name": "xds-grpc"}}]},
		"cds_config": {"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"},
		"lds_config": {"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"}},
	"static_resources": {"clusters": [{"name": "xds-grpc", "type": "STATIC", "connect_timeout": "1s",
		"typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
			"@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
			"explicit_http_config": {"http2_protocol_options": {}}}},
		"load_assignment": {"cluster_name": "xds-grpc", "endpoints": [{"lb_endpoints": [{"endpoint": {"address":
			{"socket_address": {"address": "127.0.0.1", "port_value": %[3]d}}}}]}]}}]}}`, app, ip, controlPlane)
	for into, from := range map[*bootstrapv3.Bootstrap]string{b: text, merged: more} {
		if from == "" {
			continue
		}
		if err := protojson.Unmarshal([]byte(from), into); err != nil {
			t.Fatalf("%v in %s", err, from)
		}
	}
	proto.Merge(b, merged)
	return b
}

// start starts the sidecar of an app. address is where Sidecar binds the listener for requests to a port.
func (c *controlPlane) start(app, address string, port uint32, bootstrap string) *sidecar {
	c.t.Helper()
	b := bootstrapOf(c.t, app, "10.9.9."+address[len(address)-1:], c.port, bootstrap)
	e := engine.Start(c.t, engine.Config{Bootstrap: b, KeepPorts: true, ComponentLogLevel: os.Getenv("E2E_DEBUG")})
	return &sidecar{e, c.t, fmt.Sprintf("http://%s:%d", address, port)}
}

// answer is what a client saw.
type answer struct {
	status int
	header http.Header
	err    error
}

// get sends a GET to a host, over a connection of its own. header are names and values.
func (s *sidecar) get(host string, header ...string) (a answer) {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.url+"/", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	r.Host = host
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 30 * time.Second}
	response, err := client.Do(r)
	if err != nil {
		return answer{err: err}
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	return answer{response.StatusCode, response.Header, err}
}

// count is how often each status came of n requests.
func (s *sidecar) count(n int, host string) map[int]int {
	s.t.Helper()
	counts := map[int]int{}
	for range n {
		counts[s.get(host).status]++
	}
	return counts
}

// waitForFilter waits until the active listener of a port has Weir, whatever the control plane sent first.
func (s *sidecar) waitForFilter(port uint32) {
	s.t.Helper()
	eventually(s.t, func() error {
		if filters := s.httpFilters(port); !slices.ContainsFunc(filters, isWeir) {
			return fmt.Errorf("the listener of port %d has no Weir: %v", port, filters)
		}
		return nil
	})
}

// isWeir recognises the filter of the WasmPlugin weir.
func isWeir(filter string) bool {
	return strings.HasPrefix(filter, "extensions.istio.io/") && strings.Contains(filter, ".weir")
}

// httpFilters are the names of the HTTP filters in the active listener of a port, in their order; none while another
// version of the listener is prepared.
func (s *sidecar) httpFilters(port uint32) (names []string) {
	s.t.Helper()
	var dump struct {
		Configs []struct {
			Name    string          `json:"name"`
			Active  json.RawMessage `json:"active_state"`
			Warming json.RawMessage `json:"warming_state"`
		} `json:"configs"`
	}
	if err := json.Unmarshal([]byte(s.Admin("/config_dump?resource=dynamic_listeners")), &dump); err != nil {
		s.t.Fatal(err)
	}
	for _, listener := range dump.Configs {
		if listener.Warming != nil || !strings.HasSuffix(listener.Name, fmt.Sprintf("_%d", port)) {
			continue
		}
		var chains struct {
			Listener struct {
				Chains []struct {
					Filters []struct {
						Config struct {
							HTTPFilters []struct {
								Name string `json:"name"`
							} `json:"http_filters"`
						} `json:"typed_config"`
					} `json:"filters"`
				} `json:"filter_chains"`
			} `json:"listener"`
		}
		if err := json.Unmarshal(listener.Active, &chains); err != nil {
			s.t.Fatal(err)
		}
		for _, chain := range chains.Listener.Chains {
			for _, f := range chain.Filters {
				for _, h := range f.Config.HTTPFilters {
					names = append(names, h.Name)
				}
			}
		}
	}
	return names
}

// eventually polls until done answers nil, and fails with its last word.
func eventually(t *testing.T, done func() error) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		err := done()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}
