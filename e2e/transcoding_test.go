package e2e

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/types/descriptorpb"

	// The types that the YAML below names.
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/grpc_json_transcoder/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/grpc_web/v3"

	"github.com/weir-mesh/weir/e2e/engine"
	"github.com/weir-mesh/weir/envoy/render"
)

// healthService says that everything is well, but for the service "bad", about which it is UNAVAILABLE: at once, or after a first
// message of a stream; and the first time that it is asked about one that begins with "once".
type healthService struct {
	healthv1.UnimplementedHealthServer

	asked *sync.Map
}

// Check implements healthv1.HealthServer.
func (s healthService) Check(_ context.Context, r *healthv1.HealthCheckRequest) (*healthv1.HealthCheckResponse, error) {
	_, again := s.asked.LoadOrStore(r.GetService(), true)
	if r.GetService() == "bad" || strings.HasPrefix(r.GetService(), "once") && !again {
		return nil, status.Error(codes.Unavailable, "it is bad")
	}
	return &healthv1.HealthCheckResponse{Status: healthv1.HealthCheckResponse_SERVING}, nil
}

// Watch implements healthv1.HealthServer.
func (healthService) Watch(r *healthv1.HealthCheckRequest, s grpc.ServerStreamingServer[healthv1.HealthCheckResponse]) error {
	if err := s.Send(&healthv1.HealthCheckResponse{Status: healthv1.HealthCheckResponse_SERVING}); err != nil {
		return err
	}
	if r.GetService() == "bad" {
		return status.Error(codes.Unavailable, "it is bad")
	}
	return nil
}

func startHealthService(t *testing.T) uint32 {
	t.Helper()
	return serveGRPC(t, func(server *grpc.Server) {
		healthv1.RegisterHealthServer(server, healthService{asked: &sync.Map{}})
	})
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

// startConverting starts Envoy with a filter before Weir in the listener "before", and behind it in "behind". Clusters call-… and
// stream-… have a breaker that opens at the third failure.
func startConverting(t *testing.T, filter func() *hcmv3.HttpFilter) *weir {
	t.Helper()
	port := startHealthService(t)
	const rules = "circuit_breaker: {failure_threshold: 3, recovery_timeout: 1h}"
	o := options(t, "clusters: {call-*: {"+rules+"}, stream-*: {"+rules+"}}", nil)
	for _, name := range []string{"call-before", "call-behind", "stream-before", "stream-behind"} {
		o.Upstreams = append(o.Upstreams, render.Upstream{Name: name, Host: "127.0.0.1", Port: port, HTTP2: true})
	}
	bootstrap, err := render.Bootstrap(o)
	if err != nil {
		t.Fatal(err)
	}
	addListener(t, bootstrap, "before", func(m *hcmv3.HttpConnectionManager) {
		m.HttpFilters = slices.Insert(m.GetHttpFilters(), 0, filter())
	})
	addListener(t, bootstrap, "behind", func(m *hcmv3.HttpConnectionManager) {
		m.HttpFilters = slices.Insert(m.GetHttpFilters(), len(m.GetHttpFilters())-1, filter())
	})
	e := engine.Start(t, engine.Config{Bootstrap: bootstrap})
	return &weir{Envoy: e, t: t, url: e.URL()}
}

// TestTranscoding: clients speak JSON, upstream gRPC. Before Weir, the transcoder shows it gRPC calls, and makes JSON of upstream's
// failures; Envoy sends Weir's refusals as plain text, since the client's own headers are no gRPC. Behind Weir, it shows it JSON, and
// the HTTP statuses that it makes of gRPC's; of a stream, which it does not hold back, the status is in the trailers alone.
func TestTranscoding(t *testing.T) {
	t.Parallel()
	w := startConverting(t, func() *hcmv3.HttpFilter { return transcoder(t) })
	const asJSON, asText = "application/json", "text/plain"
	for _, tc := range []struct {
		place, call, method string
		status              int // of a failure
		reason, kind        string
		refused             string
	}{
		{"before", "call", "Check", 503, "upstream_failure", asJSON, asText},
		{"behind", "call", "Check", 503, "upstream_failure", asJSON, "application/problem+json"},
		{"before", "stream", "Watch", 200, "", asJSON, asText},
		{"behind", "stream", "Watch", 200, "", asJSON, "application/problem+json"},
	} {
		t.Run(tc.place+"/"+tc.call, func(t *testing.T) {
			w := w.in(t)
			ask := func(service string) (a answer, kind string) {
				r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+w.Addr(tc.place)+"/grpc.health.v1.Health/"+tc.method,
					strings.NewReader(`{"service": "`+service+`"}`))
				if err != nil {
					t.Fatal(err)
				}
				r.Host = tc.call + "-" + tc.place
				r.Header.Set("content-type", asJSON)
				a = w.do(r)
				return a, a.header.Get("content-type")
			}
			for range 4 {
				if a, kind := ask("good"); a.status != 200 || kind != asJSON || !strings.Contains(a.body, "SERVING") || a.source() != "upstream" {
					t.Fatalf("a good answer: got %+v, want JSON of upstream", a)
				}
			}
			for i := range 3 {
				if a, kind := ask("bad"); a.status != tc.status || a.reason() != tc.reason || kind != tc.kind {
					t.Errorf("failure %d: got %+v, want status %d, reason %q and %s", i, a, tc.status, tc.reason, tc.kind)
				}
			}
			if a, kind := ask("good"); a.status != 503 || a.reason() != "circuit_open" || kind != tc.refused {
				t.Errorf("after three failures: got %+v, want 503, circuit_open and %s", a, tc.refused)
			}
		})
	}
	w.WaitMetric("weir_faults_total", engine.Exactly(0))
}

// TestTranscodedAttempts: with the transcoder behind Weir in both listeners, further attempts are JSON as the first was, and are
// transcoded; what the transcoder before Weir makes of a request is a gRPC call, which is sent once.
func TestTranscodedAttempts(t *testing.T) {
	t.Parallel()
	for _, behind := range []bool{true, false} {
		t.Run(fmt.Sprintf("behind %t", behind), func(t *testing.T) {
			t.Parallel()
			o := options(t, "clusters: {up: {"+retryRules("filter", "methods: [POST], max_attempts: 2")+"}}", nil)
			o.Upstreams = append(o.Upstreams, render.Upstream{Name: "up", Host: "127.0.0.1", Port: startHealthService(t), HTTP2: true})
			w := startWith(t, o, func(b *bootstrapv3.Bootstrap) {
				everyManager(t, b, func(listener string, m *hcmv3.HttpConnectionManager) {
					switch {
					case behind:
						m.HttpFilters = slices.Insert(m.GetHttpFilters(), len(m.GetHttpFilters())-1, transcoder(t))
					case listener == "traffic":
						m.HttpFilters = slices.Insert(m.GetHttpFilters(), 0, transcoder(t))
					}
				})
			})
			for _, service := range []string{"once-1", "once-2"} {
				r := w.request(t.Context(), http.MethodPost, "up", "/grpc.health.v1.Health/Check")
				body := `{"service": "` + service + `"}`
				r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
				r.Header.Set("content-type", "application/json")
				a := w.do(r)
				if good := a.status == 200 && strings.Contains(a.body, "SERVING") && a.header.Get("content-type") == "application/json"; good != behind {
					t.Errorf("got %+v, want the second attempt's answer: %v", a, behind)
				}
			}
			for name, n := range w.Prometheus() {
				if strings.HasPrefix(name, "weir_attempts_uncarried_total") && n != 0 {
					t.Errorf("got %s %v, want none", name, n)
				}
			}
			w.WaitMetric("weir_faults_total", engine.Exactly(0))
		})
	}
}

// TestGRPCWebFilter: clients speak gRPC-Web, upstream gRPC. Before Weir, Envoy's filter shows it gRPC calls; behind Weir, it puts the
// status of a stream into the body, which Weir does not read. That of a call that fails at once is in the headers.
func TestGRPCWebFilter(t *testing.T) {
	t.Parallel()
	web := func() *hcmv3.HttpFilter {
		filter := &hcmv3.HttpFilter{}
		fromYAML(t, `{name: grpc_web, typed_config: {"@type": `+types+`grpc_web.v3.GrpcWeb}}`, filter)
		return filter
	}
	w := startConverting(t, web)
	for _, tc := range []struct {
		place, call, method, after string // after three failures
	}{
		{"before", "call", "Check", "circuit_open"},
		{"behind", "call", "Check", "circuit_open"},
		{"before", "stream", "Watch", "circuit_open"},
		{"behind", "stream", "Watch", ""},
	} {
		t.Run(tc.place+"/"+tc.call, func(t *testing.T) {
			w := w.in(t)
			ask := func(service string) answer {
				message, err := proto.Marshal(&healthv1.HealthCheckRequest{Service: service})
				if err != nil {
					t.Fatal(err)
				}
				body := append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message))), message...)
				r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+w.Addr(tc.place)+"/grpc.health.v1.Health/"+tc.method,
					bytes.NewReader(body))
				if err != nil {
					t.Fatal(err)
				}
				r.Host = tc.call + "-" + tc.place
				r.Header.Set("content-type", "application/grpc-web+proto")
				return w.do(r)
			}
			if a := ask("good"); a.status != 200 || !strings.Contains(a.body, "grpc-status:0") || a.source() != "upstream" {
				t.Fatalf("a good answer: got %+v, want upstream's", a)
			}
			for i := range 3 {
				a := ask("bad")
				if got := a.header.Get("grpc-status") + a.body; a.status != 200 || !strings.Contains(got, "14") || a.source() != "upstream" {
					t.Errorf("failure %d: got %+v, want upstream's, with status 14", i, a)
				}
			}
			status := 200
			if tc.place == "before" { // Envoy's local reply: the client's own headers are no gRPC
				status = 503
			}
			a := ask("good")
			if got := a.header.Get("grpc-status") + a.body; a.status != status || a.reason() != tc.after || tc.after != "" && !strings.Contains(got, "14") {
				t.Errorf("after three failures: got %+v, want %d, reason %q and status 14 with it", a, status, tc.after)
			}
		})
	}
	w.WaitMetric("weir_faults_total", engine.Exactly(0))
}
