package e2e

import (
	"context"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	procv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/grpc"
)

// tierService is the server of ext_authz and ext_proc: it admits all requests, and copies x-plan to x-tier.
type tierService struct {
	authv3.UnimplementedAuthorizationServer
	procv3.UnimplementedExternalProcessorServer
}

// startTierService returns its port on 127.0.0.1. It ends with t.
func startTierService(t *testing.T) uint32 {
	t.Helper()
	return serveGRPC(t, func(server *grpc.Server) {
		authv3.RegisterAuthorizationServer(server, tierService{})
		procv3.RegisterExternalProcessorServer(server, tierService{})
	})
}

// tier sets x-tier. ext_authz reads a header's value, ext_proc its raw value.
func tier(h *corev3.HeaderValue) []*corev3.HeaderValueOption {
	if h.GetValue() == "" && len(h.GetRawValue()) == 0 {
		return nil
	}
	h.Key = "x-tier"
	return []*corev3.HeaderValueOption{{
		Header:       h,
		AppendAction: corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
	}}
}

// Check implements authv3.AuthorizationServer.
func (tierService) Check(_ context.Context, r *authv3.CheckRequest) (*authv3.CheckResponse, error) {
	return &authv3.CheckResponse{HttpResponse: &authv3.CheckResponse_OkResponse{OkResponse: &authv3.OkHttpResponse{
		Headers: tier(&corev3.HeaderValue{Value: r.GetAttributes().GetRequest().GetHttp().GetHeaders()["x-plan"]}),
	}}}, nil
}

// Process implements procv3.ExternalProcessorServer.
func (tierService) Process(stream procv3.ExternalProcessor_ProcessServer) error {
	for {
		r, err := stream.Recv()
		if err != nil {
			return nil // the request is over
		}
		var plan []byte
		for _, h := range r.GetRequestHeaders().GetHeaders().GetHeaders() {
			if h.GetKey() == "x-plan" {
				plan = h.GetRawValue()
			}
		}
		err = stream.Send(&procv3.ProcessingResponse{Response: &procv3.ProcessingResponse_RequestHeaders{
			RequestHeaders: &procv3.HeadersResponse{Response: &procv3.CommonResponse{
				HeaderMutation: &procv3.HeaderMutation{SetHeaders: tier(&corev3.HeaderValue{RawValue: plan})},
			}},
		}})
		if err != nil {
			return nil
		}
	}
}
