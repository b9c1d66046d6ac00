// Package kube has what the Kubernetes objects of Istio and of Envoy Gateway have in common: their form and files, the names in a
// policy, and the bridge to Redis.
package kube
