// Package kube has what the Kubernetes objects of Istio and of Envoy Gateway have in common: the options and how they and a policy are
// checked, the names in a policy, the bridge to Redis, and the forms: one file, a kustomization, a Helm chart.
package kube
