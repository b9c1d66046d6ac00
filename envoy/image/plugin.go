package main

import (
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// What Istio's agent and Envoy Gateway fetch, istio.io/istio/pkg/wasm/imagefetcher.go: of an OCI image the last layer, in which
// the file is named plugin.wasm; or else, of exactly two layers, the one of wasmLayer, whose bytes are the module's.
const (
	pluginFile = "plugin.wasm"
	wasmLayer  = types.MediaType("application/vnd.module.wasm.content.layer.v1+wasm")
	wasmConfig = types.MediaType("application/vnd.module.wasm.config.v1+json")
	bomLayer   = types.MediaType("application/vnd.cyclonedx+json")

	pluginDescription = "Weir, a resilience filter for Envoy: the WebAssembly module"
)

// plugin is the module as an OCI image.
func (o *Options) plugin(wasm []byte) (v1.Image, error) {
	content, err := layer(o.Created, file{pluginFile, 0o644, wasm})
	if err != nil {
		return nil, err
	}
	image, err := mutate.Append(o.base(types.OCIConfigJSON), mutate.Addendum{Layer: content, History: o.history(pluginFile)})
	if err != nil {
		return nil, err
	}
	return o.finish(image, v1.ConfigFile{OS: "wasip1", Architecture: "wasm"}, pluginDescription)
}

// artifact is the module as an OCI artifact: its digest in the registry is that of the file, by which an Envoy that fetches it by
// HTTP can check it.
func (o *Options) artifact(wasm, bom []byte) (v1.Image, error) {
	image, err := mutate.Append(o.base(wasmConfig),
		mutate.Addendum{Layer: static.NewLayer(wasm, wasmLayer), History: o.history(pluginFile), Annotations: map[string]string{"org.opencontainers.image.title": pluginFile}},
		mutate.Addendum{Layer: static.NewLayer(bom, bomLayer), History: o.history(pluginBOM), Annotations: map[string]string{"org.opencontainers.image.title": pluginBOM}},
	)
	if err != nil {
		return nil, err
	}
	return o.finish(image, v1.ConfigFile{OS: "wasip1", Architecture: "wasm"}, pluginDescription)
}

// base is an image without layers.
func (o *Options) base(config types.MediaType) v1.Image {
	return mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), config)
}

func (o *Options) history(of string) v1.History {
	return v1.History{Created: v1.Time{Time: o.Created}, CreatedBy: "make image", Comment: of}
}

// finish gives an image its platform, its way to start, and annotations.
func (o *Options) finish(image v1.Image, like v1.ConfigFile, description string) (v1.Image, error) {
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Config = like.OS, like.Architecture, like.Config
	config.Created = v1.Time{Time: o.Created}
	config.Config.Labels = o.annotations("weir", description)
	if image, err = mutate.ConfigFile(image, config); err != nil {
		return nil, err
	}
	return mutate.Annotations(image, o.annotations("weir", description)).(v1.Image), nil
}
