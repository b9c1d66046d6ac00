package istio

import (
	"errors"
	"fmt"
	"slices"

	"google.golang.org/protobuf/types/known/structpb"
	networkingv1alpha3 "istio.io/api/networking/v1alpha3"

	"github.com/weir-mesh/weir/policy"
)

const chosenComment = `- Which routes and clusters have a policy by name (policies in the policy), by their metadata.
`

// Chosen is a route or a cluster that has a policy of the document's policies, by its metadata (filter_metadata.weir.policy).
type Chosen struct {
	Policy  string
	Cluster Cluster // that of the route, too
	Route   string  // the name of an entry of http in a VirtualService; empty: the cluster
}

// ParseChosenCluster reads POLICY=HOST:PORT, POLICY=HOST:PORT/SUBSET or POLICY=inbound:PORT.
func ParseChosenCluster(s string) (Chosen, error) {
	u, err := ParseUpstream(s)
	return Chosen{Policy: u.Name, Cluster: u.Cluster}, err
}

// ParseChosenRoute reads POLICY=HOST:PORT/ROUTE.
func ParseChosenRoute(s string) (Chosen, error) {
	u, err := ParseUpstream(s)
	if err == nil && (u.Cluster.Subset == "" || u.Cluster.Direction != outbound) {
		err = fmt.Errorf("%q: want POLICY=HOST:PORT/ROUTE, ROUTE being the name of an entry of http in the host's VirtualService", s)
	}
	route := u.Cluster.Subset
	u.Cluster.Subset = ""
	return Chosen{Policy: u.Name, Cluster: u.Cluster, Route: route}, err
}

func (o Options) checkChosen() error {
	var errs []error
	for _, c := range o.Chosen {
		if o.Document.Named(c.Policy) == nil {
			errs = append(errs, fmt.Errorf("policies: the policy has none by the name %[1]s, which a route or cluster is to have: add policies.%[1]s, or correct --route-policy or --cluster-policy", c.Policy))
		}
	}
	return errors.Join(errs...)
}

// unchosen warns of policies by name that no route or cluster has, and of what one has that belongs into routes.
func (o Options) unchosen() (warnings []string) {
	for _, n := range o.Document.Policies {
		path := "policies." + n.Name
		if !slices.ContainsFunc(o.Chosen, func(c Chosen) bool { return c.Policy == n.Name }) {
			warnings = append(warnings, path+": no --route-policy or --cluster-policy chooses it, so that it decides about no request but those to which an EnvoyFilter of yours gives its name")
		}
		if n.Policy.Mode == policy.ModeEnforce {
			warnings = append(warnings, unwritten(path, n.Policy)...)
		}
	}
	return warnings
}

// choose merges the names of policies into the metadata of routes and clusters; a route's comes before its cluster's.
func (o Options) choose() (patches []*patch, err error) {
	for _, c := range o.Chosen {
		value, err := structpb.NewStruct(map[string]any{
			"metadata": map[string]any{"filter_metadata": map[string]any{"weir": map[string]any{"policy": c.Policy}}},
		})
		if err != nil {
			return nil, err
		}
		for _, in := range o.contexts() {
			p := &patch{
				ApplyTo: networkingv1alpha3.EnvoyFilter_CLUSTER,
				Match: &match{Context: in, ObjectTypes: &networkingv1alpha3.EnvoyFilter_EnvoyConfigObjectMatch_Cluster{
					Cluster: &networkingv1alpha3.EnvoyFilter_ClusterMatch{Name: c.Cluster.String()},
				}},
				Patch: &networkingv1alpha3.EnvoyFilter_Patch{Operation: networkingv1alpha3.EnvoyFilter_Patch_MERGE, Value: value},
			}
			if c.Route != "" {
				p.ApplyTo = networkingv1alpha3.EnvoyFilter_HTTP_ROUTE
				p.Match.ObjectTypes = &networkingv1alpha3.EnvoyFilter_EnvoyConfigObjectMatch_RouteConfiguration{
					RouteConfiguration: &networkingv1alpha3.EnvoyFilter_RouteConfigurationMatch{
						Vhost: &networkingv1alpha3.EnvoyFilter_RouteConfigurationMatch_VirtualHostMatch{
							Name:  c.Cluster.Host + ":" + c.Cluster.Port,
							Route: &networkingv1alpha3.EnvoyFilter_RouteConfigurationMatch_RouteMatch{Name: c.Route},
						},
					},
				}
			}
			patches = append(patches, p)
		}
	}
	return patches, nil
}
