package render

import (
	"fmt"
	"testing"

	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/structpb"
)

func TestAdminAddress(t *testing.T) {
	for admin, want := range map[string]string{
		"9902": "127.0.0.1:9902", ":9902": "127.0.0.1:9902", "0": "127.0.0.1:0",
		"10.0.0.1:9902": "10.0.0.1:9902", "[::1]:9902": "::1:9902", "0.0.0.0:9902": "0.0.0.0:9902",
	} {
		o := options()
		o.Admin = admin
		listeners := mustBootstrap(t, o).GetStaticResources().GetListeners()
		if len(listeners) != 2 || listeners[0].GetName() != "traffic" || listeners[1].GetName() != "weir_admin" {
			t.Fatalf("%s: listeners %v", admin, listeners)
		}
		socket := listeners[1].GetAddress().GetSocketAddress()
		if got := fmt.Sprintf("%s:%d", socket.GetAddress(), socket.GetPortValue()); got != want {
			t.Errorf("%s: got %s, want %s", admin, got, want)
		}
	}
	if n := len(mustBootstrap(t, options()).GetStaticResources().GetListeners()); n != 1 {
		t.Errorf("without Admin: got %d listeners, want 1", n)
	}
}

// The two instances of the filter share a VM, and with it their state, if all of vm_config is the same.
func TestAdminSharesTheVM(t *testing.T) {
	o := options()
	o.Admin, o.Env, o.StringValue = "9902", map[string]string{"A": "1"}, true
	o.AdminHosts = []string{"weir.example.com", "b.example.com"}
	listeners := mustBootstrap(t, o).GetStaticResources().GetListeners()
	traffic := wasm(t, connectionManager(t, mustBootstrap(t, o)).GetHttpFilters()[1].GetTypedConfig()).GetConfig()
	manager, ok := unpack(t, listeners[1].GetFilterChains()[0].GetFilters()[0].GetTypedConfig()).(*hcmv3.HttpConnectionManager)
	if !ok {
		t.Fatal("got another filter, want an HTTP connection manager")
	}
	admin := wasm(t, manager.GetHttpFilters()[0].GetTypedConfig()).GetConfig()
	if diff := cmp.Diff(traffic.GetVmConfig(), admin.GetVmConfig(), protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
	want := map[string]any{"admin": map[string]any{"hosts": []any{"weir.example.com", "b.example.com"}}}
	got, ok := unpack(t, admin.GetConfiguration()).(*structpb.Struct)
	if diff := cmp.Diff(want, got.AsMap()); !ok || diff != "" {
		t.Error(diff)
	}
}
