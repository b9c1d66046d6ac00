package render

import (
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"github.com/weir-mesh/weir/policy"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// A breaker acts on a cluster; health checks and outlier detection act on each of its hosts. With one dead host of
// three, every third request fails: a breaker that counts consecutive failures stays closed, and Envoy ejects that host
// instead. When all hosts fail, the breaker opens, and Envoy must still give its probe a host:
//
//	healthy hosts    Envoy                                   Weir's breaker
//	at least half    avoids the others                       sees few failures
//	fewer            panics: sends requests to all hosts,    sees the failures and opens; its probe goes to a host,
//	                 as without checks                       and succeeds as soon as that host does
//
// So even a cluster of one host always has a host to probe, whatever the checks find.
const (
	healthyPanicPercent = 50 // Envoy's default, explicit since the table depends on it

	checkEvery           = 10 * time.Second // of a healthy host
	checkUnhealthyEvery  = 2 * time.Second  // of an unhealthy host, so that it is used again soon
	checkTimeout         = time.Second      // of one check, as connectTimeout
	checksUntilUnhealthy = 2                // one lost packet ejects no host
	checksUntilHealthy   = 1

	ejectionSweep = time.Second // how often Envoy looks for hosts whose ejection is over
)

// watchHealth makes Envoy check each host of a cluster, by health checks and by its responses.
func (u Upstream) watchHealth(c *clusterv3.Cluster, b *policy.CircuitBreaker) {
	c.CommonLbConfig = &clusterv3.Cluster_CommonLbConfig{HealthyPanicThreshold: &typev3.Percent{Value: healthyPanicPercent}}
	c.HealthChecks = []*corev3.HealthCheck{u.healthCheck()}
	c.OutlierDetection = u.outlierDetection(b)
}

// healthCheck requests HealthPath, or without one checks that the host accepts connections.
func (u Upstream) healthCheck() *corev3.HealthCheck {
	check := &corev3.HealthCheck{
		Interval:           durationpb.New(checkEvery),
		UnhealthyInterval:  durationpb.New(checkUnhealthyEvery),
		Timeout:            durationpb.New(checkTimeout),
		UnhealthyThreshold: wrapperspb.UInt32(checksUntilUnhealthy),
		HealthyThreshold:   wrapperspb.UInt32(checksUntilHealthy),
		// By default Envoy checks a cluster without requests only once a minute. A failover target has no requests
		// until it is needed, and its health must be known then.
		NoTrafficInterval: durationpb.New(checkEvery),
	}
	if u.HealthPath == "" {
		check.HealthChecker = &corev3.HealthCheck_TcpHealthCheck_{TcpHealthCheck: &corev3.HealthCheck_TcpHealthCheck{}}
		return check
	}
	http := &corev3.HealthCheck_HttpHealthCheck{Path: u.HealthPath}
	if u.TLS != nil {
		http.Host = u.tlsName() // as requests have it; Envoy's default is the cluster's name
	}
	if u.HTTP2 {
		http.CodecClientType = typev3.CodecClientType_HTTP2
	}
	check.HealthChecker = &corev3.HealthCheck_HttpHealthCheck_{HttpHealthCheck: http}
	return check
}

// outlierDetection ejects a host after as many consecutive failures as would open the breaker, and for as long.
func (u Upstream) outlierDetection(b *policy.CircuitBreaker) *clusterv3.OutlierDetection {
	return &clusterv3.OutlierDetection{
		// The cluster's HTTP options say which responses are failures: see errorMatcher.
		Consecutive_5Xx:  wrapperspb.UInt32(uint32(b.FailureThreshold)),
		BaseEjectionTime: durationpb.New(b.RecoveryTimeout),
		MaxEjectionTime:  durationpb.New(b.MaxRecoveryTimeout),
		Interval:         durationpb.New(ejectionSweep),
		// Below the panic threshold, since a panic would use all ejected hosts again. With Envoy's default of 10 % no
		// host of nine would be ejected.
		MaxEjectionPercent: wrapperspb.UInt32(healthyPanicPercent),
		// The policy does not compare hosts with each other.
		EnforcingSuccessRate: wrapperspb.UInt32(0),
		// A good answer to HealthPath ends an ejection; an accepted connection does not, since it says nothing about
		// answers.
		SuccessfulActiveHealthCheckUnejectHost: wrapperspb.Bool(u.HealthPath != ""),
	}
}
