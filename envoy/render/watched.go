package render

import (
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// ECDS renders the watched file with the filter.
func ECDS(o Options) (*discoveryv3.DiscoveryResponse, error) {
	filter, err := Filter(o)
	if err != nil {
		return nil, err
	}
	return response(filter)
}

// LDS renders the watched file with the listeners and their routes.
func LDS(o Options) (*discoveryv3.DiscoveryResponse, error) {
	o = o.withDefaults()
	if err := o.Check(); err != nil {
		return nil, err
	}
	list, err := listeners(o)
	if err != nil {
		return nil, err
	}
	return response(list...)
}

// response packs resources into a discovery response, the form of a watched file. It needs no version, since Envoy
// loads the file each time it is replaced.
func response[M proto.Message](resources ...M) (*discoveryv3.DiscoveryResponse, error) {
	r := &discoveryv3.DiscoveryResponse{}
	for _, resource := range resources {
		packed, err := anypb.New(resource)
		if err != nil {
			return nil, err
		}
		r.Resources = append(r.Resources, packed)
	}
	if err := validate(r); err != nil {
		return nil, err
	}
	return r, nil
}

// watchedFile makes Envoy read a configuration from a file and reload it when something is renamed to a name in its folder: the file
// itself, or the link `..data` of a ConfigMap's volume. Without watched_directory Envoy waits for the file's own name, which no
// change of a ConfigMap touches (TestWatchedFile).
func watchedFile(path string) *corev3.ConfigSource {
	if !strings.Contains(path, "/") {
		path = "./" + path // Envoy watches the file's directory, and refuses a path without one
	}
	return &corev3.ConfigSource{
		ResourceApiVersion: corev3.ApiVersion_V3,
		ConfigSourceSpecifier: &corev3.ConfigSource_PathConfigSource{
			PathConfigSource: &corev3.PathConfigSource{
				Path: path, WatchedDirectory: &corev3.WatchedDirectory{Path: path[:strings.LastIndexByte(path, '/')+1]},
			},
		},
	}
}
