package render

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/proto"

	"github.com/weir-mesh/weir/policy"
)

// Comments that say where each piece goes in an envoy.yaml.
const (
	piecesHeader = `# Written by weir render filter: the pieces for an envoy.yaml of your own. Each document below has the keys of the message
# that it belongs into, so that its lines can be copied as they are.
`
	topComment = `At the top level of envoy.yaml. stats_config gives Weir's metrics their labels: if you have stats_tags already, add
# these to them. memory_allocator_manager gives memory back that the start of a module and a reload need for a moment.
`
	nodeComment = `# Envoy watches files only if it has a node: keep your own id and cluster, if you have them.
`
	managerComment = `Into the http_connection_manager of the listener for your clients.
# early_header_mutation_extensions: x-weir- headers of clients are removed before the route is chosen.
# http_filters: both right before envoy.filters.http.router. Filters that change the request or its route stand before
# resolve_route, and none after it: Weir decides by the cluster of the route.
`
	routesComment = `Into the routes of the virtual host that lead to cluster %s.
%s`
	backOffComment = `# retry_policy: the delays between retries; put it into each route to this cluster, without retry_on and num_retries, which the
# filter sets for each request by the policy's budget. In the cluster write circuit_breakers: {thresholds: [{max_retries: 4294967295}]},
# since Envoy's own bound is 3 retries at a time.
`
	failoverComment = "# The routes that match by a header of the filter go before all others of the virtual host.\n"
	adminComment    = `Into static_resources: the private admin listener (weir status, the live page), in the same VM.
`
	ecdsPieceHeader = `# Written by weir render filter: the filter named weir, with the policy under value. Envoy watches this file: do not edit it in
# place, rename a new one over it, as weir render filter with the same --ecds does.
`
)

// Pieces renders the parts that an envoy.yaml of one's own needs, as YAML documents with comments that say where each
// goes. With ECDS the filter is discovered from a file, which ECDSPiece renders. Of the options, those about upstreams and
// addresses are not used but for Admin.
func Pieces(o Options) ([]byte, error) {
	o = o.withDefaults()
	if err := o.checkPieces(); err != nil {
		return nil, err
	}
	top := &bootstrapv3.Bootstrap{StatsConfig: StatsConfig(), MemoryAllocatorManager: MemoryRelease()}
	comment := topComment
	if o.ECDS != "" {
		top.Node, comment = &corev3.Node{Id: "weir", Cluster: "weir"}, comment+nodeComment
	}
	manager, err := managerPiece(o)
	if err != nil {
		return nil, err
	}
	out := bytes.NewBufferString(piecesHeader)
	documents := []piece{{comment, top}, {managerComment, manager}}
	documents = append(documents, routePieces(o.Document)...)
	if o.Admin != "" {
		admin, err := adminListener(o)
		if err != nil {
			return nil, err
		}
		listeners := &bootstrapv3.Bootstrap_StaticResources{Listeners: []*listenerv3.Listener{admin}}
		if err := validate(listeners); err != nil {
			return nil, err
		}
		documents = append(documents, piece{adminComment, listeners})
	}
	for i, p := range documents {
		body, err := YAML(p.message)
		if err != nil {
			return nil, err
		}
		if i > 0 {
			out.WriteString("---\n")
		}
		fmt.Fprintf(out, "# %d. %s", i+1, p.comment)
		out.Write(body)
	}
	return out.Bytes(), nil
}

type piece struct {
	comment string
	message proto.Message
}

// ECDSPiece is the watched file with the filter.
func ECDSPiece(o Options) (File, error) {
	response, err := ECDS(o)
	if err != nil {
		return File{}, err
	}
	f, err := file(o.ECDS, response, ecdsPieceHeader)
	f.Watched = true
	return f, err
}

func (o Options) checkPieces() error {
	var errs []error
	if o.Document != nil {
		if o.Document.Admin {
			errs = append(errs, errors.New("policy: admin is only for a separate listener, which --weir-admin HOST:PORT adds; write clusters or default for the traffic"))
		}
		if o.Document.Attempts {
			errs = append(errs, errors.New("policy: attempts is only for the internal listener of retry.via, which weir render envoy writes; write clusters or default for the traffic"))
		}
		o.Document.Each(func(path string, p *policy.Policy) {
			if p.Retry != nil && p.Retry.Driver == policy.DriverFilter {
				errs = append(errs, fmt.Errorf("%s.retry: driver filter needs an internal listener with your routes: copy it from what weir render envoy writes, or write driver: envoy", path))
			}
		})
	}
	_, envErr := environment(o)
	return errors.Join(append(errs, o.CheckAdmin(), envErr)...)
}

func managerPiece(o Options) (*hcmv3.HttpConnectionManager, error) {
	filters, err := httpFilters(o)
	if err != nil {
		return nil, err
	}
	strip, err := StripClientHeaders(o.Document)
	if err != nil {
		return nil, err
	}
	return &hcmv3.HttpConnectionManager{
		EarlyHeaderMutationExtensions: []*corev3.TypedExtensionConfig{strip},
		HttpFilters:                   filters[:len(filters)-1], // the router is there already
	}, nil
}

// routePieces are the routes of each cluster that the policy names and that retries or fails over.
func routePieces(d *policy.Document) (pieces []piece) {
	if d == nil {
		return nil
	}
	for _, c := range d.Clusters {
		retries, failover := RouterRetries(c.Policy.Retry), c.Policy.Failover != nil
		if !retries && !failover || strings.Contains(c.Pattern, "*") {
			continue
		}
		var comment string
		if failover {
			comment += failoverComment
		}
		if retries {
			comment += backOffComment
		}
		pieces = append(pieces, piece{
			fmt.Sprintf(routesComment, c.Pattern, comment),
			&routev3.VirtualHost{Routes: append(failoverRoutes(Options{Document: d}, c.Pattern), route(Options{Document: d}, c.Pattern, c.Pattern))},
		})
	}
	return pieces
}
