package main

import (
	"bytes"
	"encoding/pem"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/crypto/x509roots/fallback/bundle"
)

const (
	commandDescription = "Weir's command, with which limits are shared through Redis: weir bridge"
	nonroot            = "65532:65532" // nobody in particular; `weir render istio` runs the bridge as this user, too
	// roots is where Go looks for certificates: rediss:// needs them.
	roots = "etc/ssl/certs/ca-certificates.crt"
)

// command is the command for all platforms, on nothing but the certificates that Mozilla trusts. weir.wasm is beside it, where
// `weir replay` looks.
func (o *Options) command(wasm []byte) (v1.ImageIndex, error) {
	var pems bytes.Buffer
	for root := range bundle.Roots() {
		if err := pem.Encode(&pems, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}); err != nil {
			return nil, err
		}
	}
	base, err := layer(o.Created, file{roots, 0o644, pems.Bytes()})
	if err != nil {
		return nil, err
	}
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, platform := range slices.Sorted(maps.Keys(o.Commands)) {
		program, err := os.ReadFile(o.Commands[platform])
		if err != nil {
			return nil, err
		}
		content, err := layer(o.Created, file{"weir", 0o755, program}, file{"weir.wasm", 0o644, wasm})
		if err != nil {
			return nil, err
		}
		image, err := mutate.Append(o.base(types.OCIConfigJSON),
			mutate.Addendum{Layer: base, History: o.history(roots)}, mutate.Addendum{Layer: content, History: o.history("weir, weir.wasm")})
		if err != nil {
			return nil, err
		}
		system, architecture, _ := strings.Cut(platform, "/")
		image, err = o.finish(image, v1.ConfigFile{
			OS: system, Architecture: architecture,
			Config: v1.Config{User: nonroot, Entrypoint: []string{"/weir"}, WorkingDir: "/"},
		}, commandDescription)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", platform, err)
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{
			Add: image, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: system, Architecture: architecture}},
		})
	}
	return mutate.Annotations(index, o.annotations("weir", commandDescription)).(v1.ImageIndex), nil
}
