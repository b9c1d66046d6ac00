package e2e

import (
	"context"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/types/descriptorpb"

	// The type that the YAML below names.
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/grpc_json_transcoder/v3"

	"github.com/weir-mesh/weir/e2e/engine"
	"github.com/weir-mesh/weir/envoy/render"
)

// healthService says that everything is well, but for the service "bad", about which it is UNAVAILABLE.
type healthService struct {
	healthv1.UnimplementedHealthServer
}

// Check implements healthv1.HealthServer.
func (healthService) Check(_ context.Context, r *healthv1.HealthCheckRequest) (*healthv1.HealthCheckResponse, error) {
	if r.GetService() == "bad" {
		return nil, status.Error(codes.Unavailable, "it is bad")
	}
	return &healthv1.HealthCheckResponse{Status: healthv1.HealthCheckResponse_SERVING}, nil
}

func startHealthService(t *testing.T) uint32 {
	t.Helper()
	var config net.ListenConfig
	listener, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	healthv1.RegisterHealthServer(server, healthService{})
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	address, ok := listener.Addr().(*net.TCPAddr)
	if !ok {
		t.Fatalf("got address %v, want one of TCP", listener.Addr())
	}
	return uint32(address.Port)
}

// transcoder is Envoy's gRPC-JSON transcoder for that service.
func transcoder(t *testing.T) *hcmv3.HttpFilter {
	t.Helper()
	file := protodesc.ToFileDescriptorProto(healthv1.File_grpc_health_v1_health_proto)
	descriptor, err := proto.Marshal(&descriptorpb.FileDescriptorSet{File: []*descriptorpb.FileDescriptorProto{file}})
	if err != nil {
		t.Fatal(err)
	}
	filter := &hcmv3.HttpFilter{}
	fromYAML(t, fmt.Sprintf(`{name: transcoder, typed_config: {"@type": `+types+`grpc_json_transcoder.v3.GrpcJsonTranscoder, `+
		`proto_descriptor_bin: %s, services: [grpc.health.v1.Health], auto_mapping: true, convert_grpc_status: true}}`,
		base64.StdEncoding.EncodeToString(descriptor)), filter)
	return filter
}

// TestTranscoding: clients speak JSON, upstream gRPC. Before Weir, the transcoder shows it gRPC calls, and makes JSON of Weir's
// refusals; behind Weir, it shows it JSON, and the HTTP statuses that it makes of gRPC's.
func TestTranscoding(t *testing.T) {
	t.Parallel()
	port := startHealthService(t)
	const rules = "circuit_breaker: {failure_threshold: 3, recovery_timeout: 1h}"
	o := options(t, fmt.Sprintf("clusters: {grpc-before: {%s}, grpc-behind: {%s}}", rules, rules), nil)
	for _, name := range []string{"grpc-before", "grpc-behind"} {
		o.Upstreams = append(o.Upstreams, render.Upstream{Name: name, Host: "127.0.0.1", Port: port, HTTP2: true})
	}
	bootstrap, err := render.Bootstrap(o)
	if err != nil {
		t.Fatal(err)
	}
	addListener(t, bootstrap, "before", func(m *hcmv3.HttpConnectionManager) {
		m.HttpFilters = slices.Insert(m.GetHttpFilters(), 0, transcoder(t))
	})
	addListener(t, bootstrap, "behind", func(m *hcmv3.HttpConnectionManager) {
		m.HttpFilters = slices.Insert(m.GetHttpFilters(), len(m.GetHttpFilters())-1, transcoder(t))
	})
	e := engine.Start(t, engine.Config{Bootstrap: bootstrap})
	w := &weir{Envoy: e, t: t, url: e.URL()}
	for _, place := range []string{"before", "behind"} {
		t.Run(place, func(t *testing.T) {
			w := w.in(t)
			ask := func(service string) answer {
				r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+w.Addr(place)+"/grpc.health.v1.Health/Check",
					strings.NewReader(`{"service": "`+service+`"}`))
				if err != nil {
					t.Fatal(err)
				}
				r.Host = "grpc-" + place
				r.Header.Set("content-type", "application/json")
				return w.do(r)
			}
			if a := ask("good"); a.status != 200 || !strings.Contains(a.body, "SERVING") || a.source() != "upstream" {
				t.Fatalf("a good answer: got %+v, want JSON of upstream", a)
			}
			for i := range 5 {
				a := ask("bad")
				reason := "upstream_failure"
				if i >= 3 {
					reason = "circuit_open"
				}
				if a.status != 503 || a.reason() != reason {
					t.Errorf("failure %d: got %+v, want status 503 and %s", i, a, reason)
				}
				if kind := a.header.Get("content-type"); !strings.Contains(kind, "json") {
					t.Errorf("failure %d: got content-type %q, want JSON", i, kind)
				}
			}
		})
	}
	w.WaitMetric("weir_faults_total", engine.Exactly(0))
}
