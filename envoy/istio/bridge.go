package istio

import (
	"fmt"
	"net"
	"strconv"
	"strings"

	networkingv1alpha3 "istio.io/api/networking/v1alpha3"

	"github.com/weir-mesh/weir/envoy/kube"
)

const (
	bridgeOpenComment = `
The policy has no redis.token, so the bridge takes calls from everybody who reaches it: let an AuthorizationPolicy say
who does, or write redis: {token: ${WEIR_BRIDGE_TOKEN:-}} and render with --env or --host-env.`
	externalComment = `The HTTP bridge to Redis, which is outside of the mesh.`
)

// redisCluster is Istio's name for the bridge's cluster, and empty if the policy's own is kept.
func (o Options) redisCluster() string {
	c := Cluster{Direction: outbound}
	switch {
	case o.Bridge != "":
		c.Port, c.Host = strconv.Itoa(kube.BridgePort), o.ownBridge().Host()
	case o.Redis != "":
		host, port, err := net.SplitHostPort(strings.TrimPrefix(o.Redis, "h2://"))
		if err != nil {
			return ""
		}
		c.Port, c.Host = port, host
	default:
		return ""
	}
	return c.String()
}

func (o Options) checkRedis() error {
	if o.Document.Redis == nil || o.Bridge != "" || o.Redis != "" || controlPlane.FailoverTo(o.Document.Redis.Cluster) {
		return nil
	}
	return fmt.Errorf("redis.cluster: no cluster of Istio is named %s: add --bridge IMAGE, which deploys one, or --redis HOST:PORT, or write outbound|PORT||HOST", o.Document.Redis.Cluster)
}

// bridge is the Deployment and Service of the bridge, or the ServiceEntry of one outside of the mesh.
func (o Options) bridge() []Object {
	switch {
	case o.Bridge != "":
		return o.ownBridge().Objects()
	case o.Redis != "" && !inMesh(o.Redis):
		return []Object{o.bridgeEntry()}
	default:
		return nil
	}
}

// inMesh says whether a host is a Kubernetes Service, which Istio knows.
func inMesh(hostPort string) bool {
	host, _, err := net.SplitHostPort(strings.TrimPrefix(hostPort, "h2://"))
	return err == nil && strings.HasSuffix(host, ".svc.cluster.local")
}

// ownBridge is the bridge to deploy.
func (o Options) ownBridge() kube.Bridge {
	b := o.NewBridge()
	b.PodLabels = map[string]string{"sidecar.istio.io/inject": "true"} // also in istio-system: then the calls are encrypted
	b.OpenComment = bridgeOpenComment
	return b
}

func (o Options) bridgeEntry() Object {
	hostPort, http2 := strings.CutPrefix(o.Redis, "h2://")
	host, port, _ := net.SplitHostPort(hostPort) // Check has read it
	number, _ := strconv.ParseUint(port, 10, 16)
	protocol := "HTTP"
	if http2 {
		protocol = "HTTP2"
	}
	return o.Object("networking.istio.io/v1", "ServiceEntry", "-bridge", externalComment, &networkingv1alpha3.ServiceEntry{
		Hosts:      []string{host},
		Location:   networkingv1alpha3.ServiceEntry_MESH_EXTERNAL,
		Resolution: networkingv1alpha3.ServiceEntry_DNS,
		Ports:      []*networkingv1alpha3.ServicePort{{Number: uint32(number), Name: strings.ToLower(protocol), Protocol: protocol}},
	})
}
