package istio

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	networkingv1alpha3 "istio.io/api/networking/v1alpha3"

	"github.com/weir-mesh/weir/policy"
)

const (
	bridgeComment = `The HTTP bridge to Redis, which the filters call for limits of scope mesh. It reads REDIS_URL%[2]s from
the Secret %[1]s, which you create:
  kubectl -n %[3]s create secret generic %[1]s --from-literal=REDIS_URL=redis://HOST:6379%[4]s`
	bridgeOpenComment = `
The policy has no redis.token, so the bridge takes calls from everybody who reaches it: let an AuthorizationPolicy say
who does, or write redis: {token: ${WEIR_BRIDGE_TOKEN:-}} and render with --env or --host-env.`
	externalComment = `The HTTP bridge to Redis, which is outside of the mesh.`
	bridgePort      = 7379
)

// bridgeName is the name of the bridge's Service and Deployment.
func (o Options) bridgeName() string { return o.Name + "-bridge" }

// redisCluster is Istio's name for the bridge's cluster, and empty if the policy's own is kept.
func (o Options) redisCluster() string {
	c := Cluster{Direction: outbound}
	switch {
	case o.Bridge != "":
		c.Port, c.Host = strconv.Itoa(bridgePort), o.bridgeName()+"."+o.Namespace+".svc.cluster.local"
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
	redis, given := o.Document.Redis, o.Bridge != "" || o.Redis != ""
	switch {
	case redis == nil && !given:
		return nil
	case redis == nil:
		return errors.New("--bridge or --redis is given, but the policy has no `redis` section: add `redis: {}`")
	case o.Bridge != "" && redis.Dialect != policy.DialectUpstash:
		return errors.New("redis.dialect: weir bridge speaks upstash; write redis: {dialect: upstash}")
	case given:
		return nil
	}
	if c, ok := ParseCluster(redis.Cluster); !ok || c.Direction != outbound || c.port() == 0 {
		return fmt.Errorf("redis.cluster: no cluster of Istio is named %s: add --bridge IMAGE, which deploys one, or --redis HOST:PORT, or write outbound|PORT||HOST", redis.Cluster)
	}
	return nil
}

// bridge is the Deployment and Service of the bridge, or the ServiceEntry of one outside of the mesh.
func (o Options) bridge() []Object {
	switch {
	case o.Bridge != "":
		return []Object{o.bridgeDeployment(), o.bridgeService()}
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

func (o Options) bridgeLabels() map[string]string {
	return map[string]string{"app": o.bridgeName()}
}

func (o Options) bridgeDeployment() Object {
	arguments := []string{"bridge", "--listen=0.0.0.0:" + strconv.Itoa(bridgePort), "--drain=5s"}
	variables := []any{o.fromSecret("REDIS_URL")}
	and, literal, open := "", "", bridgeOpenComment
	if o.hasToken() {
		variables = append(variables, o.fromSecret("WEIR_BRIDGE_TOKEN"))
		and, literal, open = " and WEIR_BRIDGE_TOKEN", " --from-literal=WEIR_BRIDGE_TOKEN=TOKEN", ""
	} else {
		arguments = append(arguments, "--insecure")
	}
	type m = map[string]any
	labels := o.bridgeLabels()
	inject := map[string]string{"sidecar.istio.io/inject": "true"} // also in istio-system: then the calls are encrypted
	for name, value := range labels {
		inject[name] = value
	}
	return o.object("apps/v1", "Deployment", "-bridge", fmt.Sprintf(bridgeComment, o.BridgeSecret, and, o.Namespace, literal)+open, m{
		"replicas": 2,
		"selector": m{"matchLabels": labels},
		"template": m{
			"metadata": m{"labels": inject},
			"spec": m{
				"terminationGracePeriodSeconds": 15, // --drain, then up to 5 s for what is in flight
				"securityContext":               m{"runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": m{"type": "RuntimeDefault"}},
				"containers": []any{m{
					"name":           "bridge",
					"image":          o.Bridge,
					"args":           arguments,
					"env":            variables,
					"ports":          []any{m{"name": "http", "containerPort": bridgePort}},
					"readinessProbe": m{"httpGet": m{"path": "/health", "port": "http"}, "periodSeconds": 2, "failureThreshold": 2},
					"resources":      m{"requests": m{"cpu": "100m", "memory": "64Mi"}, "limits": m{"memory": "256Mi"}},
					"securityContext": m{
						"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": m{"drop": []string{"ALL"}},
					},
				}},
			},
		},
	})
}

// hasToken says whether the filters send a token, which may be in the sidecars' environment and not in this one.
func (o Options) hasToken() bool {
	var written struct{ Redis struct{ Token string } }
	if json.Unmarshal(o.Policy, &written) != nil {
		return false // Objects reports it
	}
	fromSidecar := func(name string) bool { return strings.Contains(written.Redis.Token, "${"+name) }
	return o.Document.Redis.Token != "" || slices.ContainsFunc(o.HostEnv, fromSidecar)
}

func (o Options) fromSecret(name string) map[string]any {
	return map[string]any{"name": name, "valueFrom": map[string]any{"secretKeyRef": map[string]any{"name": o.BridgeSecret, "key": name}}}
}

func (o Options) bridgeService() Object {
	return o.object("v1", "Service", "-bridge", "", map[string]any{
		"selector": o.bridgeLabels(),
		// Istio tells the protocol by appProtocol.
		"ports": []any{map[string]any{"name": "http", "port": bridgePort, "targetPort": "http", "appProtocol": "http"}},
	})
}

func (o Options) bridgeEntry() Object {
	hostPort, http2 := strings.CutPrefix(o.Redis, "h2://")
	host, port, _ := net.SplitHostPort(hostPort) // Check has read it
	number, _ := strconv.ParseUint(port, 10, 16)
	protocol := "HTTP"
	if http2 {
		protocol = "HTTP2"
	}
	return o.object("networking.istio.io/v1", "ServiceEntry", "-bridge", externalComment, &networkingv1alpha3.ServiceEntry{
		Hosts:      []string{host},
		Location:   networkingv1alpha3.ServiceEntry_MESH_EXTERNAL,
		Resolution: networkingv1alpha3.ServiceEntry_DNS,
		Ports:      []*networkingv1alpha3.ServicePort{{Number: uint32(number), Name: strings.ToLower(protocol), Protocol: protocol}},
	})
}
