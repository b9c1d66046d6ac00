package e2e

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	tracev3 "github.com/envoyproxy/go-control-plane/envoy/config/trace/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/encoding/protowire"

	// The types that the YAML below names.
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/header_mutation/v3"

	"github.com/weir-mesh/weir/e2e/engine"
	"github.com/weir-mesh/weir/e2e/upstream"
)

// span is one that Envoy's OpenTelemetry tracer has exported, its numbers in hex.
type span struct{ trace, id, parent string }

// fields calls do for each field of a protobuf message that is bytes.
func fields(message []byte, do func(number protowire.Number, value []byte)) {
	for len(message) > 0 {
		number, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			return
		}
		message = message[n:]
		if n = protowire.ConsumeFieldValue(number, kind, message); n < 0 {
			return
		}
		if kind == protowire.BytesType {
			value, _ := protowire.ConsumeBytes(message)
			do(number, value)
		}
		message = message[n:]
	}
}

// exportedSpans reads an ExportTraceServiceRequest: resource_spans = 1, scope_spans = 2, spans = 2 with trace_id = 1, span_id = 2 and
// parent_span_id = 4 (opentelemetry/proto/trace/v1/trace.proto).
func exportedSpans(request []byte) (all []span) {
	fields(request, func(_ protowire.Number, resource []byte) {
		fields(resource, func(n protowire.Number, scope []byte) {
			if n != 2 {
				return
			}
			fields(scope, func(n protowire.Number, one []byte) {
				if n != 2 {
					return
				}
				var s span
				fields(one, func(n protowire.Number, value []byte) {
					switch n {
					case 1:
						s.trace = hex.EncodeToString(value)
					case 2:
						s.id = hex.EncodeToString(value)
					case 4:
						s.parent = hex.EncodeToString(value)
					}
				})
				all = append(all, s)
			})
		})
	})
	return all
}

// parentSpan is a filter before Weir that writes the span of the request in the traffic's listener where the tracer of the internal
// listener looks for a parent.
const parentSpan = `{name: parent_span, typed_config: {"@type": ` + types + `header_mutation.v3.HeaderMutation, mutations: {request_mutations: [
  {append: {header: {key: traceparent, value: "00-%TRACE_ID%-%SPAN_ID%-01"}, append_action: OVERWRITE_IF_EXISTS_OR_ADD}}]}}}`

// TestAttemptsAreTraced: further attempts are children of the request's span in the traffic's listener, whether the trace begins
// there or in the client.
func TestAttemptsAreTraced(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	exported := map[string]span{} // by id
	collector, up := upstream.New(t), upstream.New(t)
	collector.Set(upstream.Func(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		for _, s := range exportedSpans(body) {
			exported[s.id] = s
		}
	}))
	up.ScriptAttempts(numberHeader, upstream.Any, upstream.Status(503), upstream.Status(503), upstream.Body("fine"))
	policy := fmt.Sprintf("clusters: {up: {%s}}", retryRules("filter", "jitter: false"))
	o := options(t, policy, map[string]*upstream.Upstream{"up": up, "collector": collector})
	w := startWith(t, o, func(b *bootstrapv3.Bootstrap) {
		everyManager(t, b, func(listener string, m *hcmv3.HttpConnectionManager) {
			m.Tracing = &hcmv3.HttpConnectionManager_Tracing{Provider: &tracev3.Tracing_Http{}}
			fromYAML(t, `{name: otel, typed_config: {"@type": type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig, service_name: weir,
  http_service: {http_uri: {uri: "http://collector/v1/traces", cluster: collector, timeout: 1s}}}}`, m.GetTracing().GetProvider())
			if listener == "traffic" {
				parent := &hcmv3.HttpFilter{}
				fromYAML(t, parentSpan, parent)
				m.HttpFilters = slices.Insert(m.GetHttpFilters(), 0, parent)
			}
		})
	})
	for _, tc := range []struct{ name, trace, parent string }{
		{name: "a trace that begins here"},
		{name: "a trace of the client", trace: "463ac35c9f6413ad48485a3953bb6124", parent: "a2fb4a1d1a96d312"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := w.in(t)
			r, id := w.numberedRequest("GET", "up", "/")
			if tc.trace != "" {
				r.Header.Set("traceparent", "00-"+tc.trace+"-"+tc.parent+"-01")
			}
			if a := w.do(r); a.status != 200 || a.body != "fine" {
				t.Fatalf("got %+v, want the third response", a)
			}
			var saw []span // at upstream: of the listener by which each attempt came
			for _, attempt := range up.Attempts(numberHeader, id) {
				parts := strings.Split(attempt.Header.Get("traceparent"), "-")
				if len(parts) != 4 {
					t.Fatalf("got traceparent %q at upstream, want one", attempt.Header.Get("traceparent"))
				}
				saw = append(saw, span{trace: parts[1], id: parts[2]})
			}
			if len(saw) != 3 || tc.trace != "" && saw[0].trace != tc.trace {
				t.Fatalf("got %+v at upstream, want 3 attempts of trace %s", saw, tc.trace)
			}
			eventually(t, func() error {
				mu.Lock()
				defer mu.Unlock()
				if got, want := exported[saw[0].id], (span{saw[0].trace, saw[0].id, tc.parent}); got != want {
					return fmt.Errorf("got the request's span %+v, want %+v", got, want)
				}
				for i, s := range saw[1:] {
					if got, want := exported[s.id], (span{saw[0].trace, s.id, saw[0].id}); got != want {
						return fmt.Errorf("got span %+v of attempt %d, want %+v, a child of the request's", got, i+2, want)
					}
				}
				if saw[1].id == saw[2].id || saw[0].id == saw[1].id {
					return errors.New("two attempts have one span")
				}
				return nil
			})
		})
	}
	w.WaitMetric("weir_faults_total", engine.Exactly(0))
}
