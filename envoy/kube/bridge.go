package kube

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

const (
	bridgeComment = `The HTTP bridge to Redis, which the filters call for limits of scope mesh. It reads REDIS_URL%[2]s from
the Secret %[1]s, which you create:
  kubectl -n %[3]s create secret generic %[1]s --from-literal=REDIS_URL=redis://HOST:6379%[4]s`

	// BridgePort is the bridge's.
	BridgePort = 7379

	bridgeReplicas = 2
)

// Bridge is the HTTP bridge to Redis.
type Bridge struct {
	Instance, Namespace string // of the objects of the policy
	Image               string // of the weir command
	Secret              string // has REDIS_URL, and with Token WEIR_BRIDGE_TOKEN
	Token               bool
	PodLabels           map[string]string
	OpenComment         string // for a bridge without a token
}

// Name is the name of the Deployment and the Service.
func (b Bridge) Name() string { return b.Instance + "-bridge" }

// Host is the Service's.
func (b Bridge) Host() string { return b.Name() + "." + b.Namespace + ".svc.cluster.local" }

// Objects are the Deployment and the Service.
func (b Bridge) Objects() []Object { return []Object{b.deployment(), b.service()} }

func (b Bridge) object(apiVersion, kind, comment string, spec any) Object {
	return Object{APIVersion: apiVersion, Kind: kind, Comment: comment, Spec: spec, Metadata: Metadata{
		Name: b.Name(), Namespace: b.Namespace, Labels: Labels(b.Instance),
	}}
}

func (b Bridge) labels() map[string]string { return map[string]string{"app": b.Name()} }

func (b Bridge) deployment() Object {
	arguments := []string{"bridge", "--listen=0.0.0.0:" + strconv.Itoa(BridgePort), "--drain=5s"}
	variables := []any{b.fromSecret("REDIS_URL")}
	and, literal, open := "", "", b.OpenComment
	if b.Token {
		variables = append(variables, b.fromSecret("WEIR_BRIDGE_TOKEN"))
		and, literal, open = " and WEIR_BRIDGE_TOKEN", " --from-literal=WEIR_BRIDGE_TOKEN=TOKEN", ""
	} else {
		arguments = append(arguments, "--insecure")
	}
	type m = map[string]any
	pods := b.labels()
	maps.Copy(pods, b.PodLabels)
	return b.object("apps/v1", "Deployment", fmt.Sprintf(bridgeComment, b.Secret, and, b.Namespace, literal)+open, m{
		"replicas": bridgeReplicas,
		"selector": m{"matchLabels": b.labels()},
		"template": m{
			"metadata": m{"labels": pods},
			"spec": m{
				"terminationGracePeriodSeconds": 15, // --drain, then up to 5 s for what is in flight
				"securityContext":               m{"runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": m{"type": "RuntimeDefault"}},
				"containers": []any{m{
					"name":           "bridge",
					"image":          b.Image,
					"args":           arguments,
					"env":            variables,
					"ports":          []any{m{"name": "http", "containerPort": BridgePort}},
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

// hasToken says whether the filters send a token, which may be in the proxies' environment (HostEnv) and not in this one.
func (o Options) hasToken() bool {
	var written struct{ Redis struct{ Token string } }
	if json.Unmarshal(o.Policy, &written) != nil || o.Document.Redis == nil {
		return false // the policy's reader reports it
	}
	fromProxy := func(name string) bool { return strings.Contains(written.Redis.Token, "${"+name) }
	return o.Document.Redis.Token != "" || slices.ContainsFunc(o.HostEnv, fromProxy)
}

func (b Bridge) fromSecret(name string) map[string]any {
	return map[string]any{"name": name, "valueFrom": map[string]any{"secretKeyRef": map[string]any{"name": b.Secret, "key": name}}}
}

func (b Bridge) service() Object {
	return b.object("v1", "Service", "", map[string]any{
		"selector": b.labels(),
		// Istio tells the protocol by appProtocol.
		"ports": []any{map[string]any{"name": "http", "port": BridgePort, "targetPort": "http", "appProtocol": "http"}},
	})
}
