package istio

import (
	"bytes"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	wasmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/wasm/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"istio.io/istio/pilot/pkg/model"
	v3 "istio.io/istio/pilot/pkg/xds/v3"
	"istio.io/istio/pilot/test/xds"
	"istio.io/istio/pkg/wasm"

	"github.com/weir-mesh/weir/e2e/repo"
	"github.com/weir-mesh/weir/envoy/istio"
)

// translated is what Istio adds to the name of a WasmPlugin (pilot/pkg/config/kube/extensions/translate.go).
const translated = "~istio-translated-wasmplugin"

// TestAgentFetchesTheImages: what `make image` writes is in a registry, the rendered WasmPlugin names it, Istio's xDS generators
// send it to a sidecar, and there Istio's agent fetches the module and gives Envoy its file: the bytes of build/weir.wasm.
func TestAgentFetchesTheImages(t *testing.T) {
	file, err := repo.Built("weir.wasm", "image")
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	for _, image := range []string{"plugin", "plugin-artifact"} {
		t.Run(image, func(t *testing.T) {
			reference := strings.TrimPrefix(server.URL, "http://") + "/" + image + ":1"
			upload(t, filepath.Join(filepath.Dir(file), "images", image), reference)
			objects, _ := rendered(t, `clusters: {"outbound|80||pricing.shop.svc.cluster.local": {rate_limit: {}}}`, func(o *istio.Options) { o.Module = "oci://" + reference })
			c := xds.NewFakeDiscoveryServer(t, xds.FakeOptions{ConfigString: objects})
			ads := c.ConnectADS().WithID("sidecar~127.0.0.5~cart.shop~shop.svc.cluster.local").WithType(v3.ExtensionConfigurationType)
			sent := ads.RequestResponseAck(t, &discoveryv3.DiscoveryRequest{ResourceNames: []string{model.TrafficExtensionResourceNamePrefix + "istio-system.weir" + translated}})
			if len(sent.GetResources()) != 1 {
				t.Fatalf("got %d resources, want the plugin's", len(sent.GetResources()))
			}
			cache := wasm.NewLocalFileCache(t.TempDir(), wasm.Options{})
			t.Cleanup(cache.Cleanup)
			if err := wasm.MaybeConvertWasmExtensionConfig(sent.GetResources(), cache); err != nil {
				t.Fatal(err)
			}
			var resource corev3.TypedExtensionConfig
			var filter wasmv3.Wasm
			if err := sent.GetResources()[0].UnmarshalTo(&resource); err != nil {
				t.Fatal(err)
			}
			if err := resource.GetTypedConfig().UnmarshalTo(&filter); err != nil {
				t.Fatalf("Istio's agent sends %s in place of the filter: %v", resource.GetTypedConfig().GetTypeUrl(), err)
			}
			path := filter.GetConfig().GetVmConfig().GetCode().GetLocal().GetFilename()
			got, err := os.ReadFile(path)
			if err != nil {
				t.Fatalf("code %v: %v", filter.GetConfig().GetVmConfig().GetCode(), err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("%s: got %d bytes, want the %d of %s", path, len(got), len(want), file)
			}
		})
	}
}

// upload sends the one image of a layout to a registry.
func upload(t *testing.T, path, reference string) {
	t.Helper()
	index, err := layout.ImageIndexFromPath(path)
	if err != nil {
		t.Fatalf("%v: run `make image` first", err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	image, err := index.Image(manifest.Manifests[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	to, err := name.ParseReference(reference)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(to, image); err != nil {
		t.Fatal(err)
	}
}
