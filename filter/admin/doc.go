// Package admin is the admin API, as a function from a request to an answer: it knows no proxy.
//
//	GET  /                                  the live page
//	GET  /status, /status/CLUSTER           JSON
//	POST /reset/CLUSTER                     breaker closed, limits fresh, counts from zero
//	POST /breaker/CLUSTER/open|close|auto   forces the breaker, and takes that back
//	POST /cache/invalidate?cluster=C[&path=P]
//
// What it knows it reads from what all workers share: the directory of clusters, which the plugins publish that see
// traffic, the clusters' records, and Envoy's metrics, which count over all workers without any cost to a request. It
// needs no traffic of its own.
//
// A body is not read: what a POST wants stands in its path. A long one is refused by its Content-Length.
package admin
