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

// A breaker decides about a cluster, health checks and outlier detection about each of its hosts. So the two complement one
// another: of three hosts of which one is dead, every third request fails, and no breaker that counts consecutive
// failures opens; that host is taken out instead. Where all fail, the breaker opens and Envoy must not be in its way:
//
//	healthy hosts    Envoy                                   Weir's breaker
//	at least half    avoids the others                       sees few failures
//	fewer            panics: all get requests, as if         sees the failures, opens; its probe goes to a host, and
//	                 there were no checks                    succeeds as soon as that host does
//
// A cluster of one host is thus never without a host to probe, whatever the checks say of it.
const (
	healthyPanicPercent = 50 // Envoy's default, written since the above hangs on it

	checkEvery          = 10 * time.Second // a host that is well
	checkUnhealthyEvery = 2 * time.Second  // one that is not, so that it is back soon
	checkTimeout        = time.Second      // of one check, as connectTimeout
	checksUntilUnwell   = 2                // a lost packet takes nobody out
	checksUntilWell     = 1

	ejectionSweep = time.Second // how often Envoy looks for hosts whose ejection is over
)

// watchHealth lets Envoy check each host of a cluster, actively and by what it answers.
func (u Upstream) watchHealth(c *clusterv3.Cluster, b *policy.CircuitBreaker) {
	c.CommonLbConfig = &clusterv3.Cluster_CommonLbConfig{HealthyPanicThreshold: &typev3.Percent{Value: healthyPanicPercent}}
	c.HealthChecks = []*corev3.HealthCheck{u.healthCheck()}
	c.OutlierDetection = u.outlierDetection(b)
}

// healthCheck asks for a path where one is known, else whether the host accepts connections.
func (u Upstream) healthCheck() *corev3.HealthCheck {
	check := &corev3.HealthCheck{
		Interval:           durationpb.New(checkEvery),
		UnhealthyInterval:  durationpb.New(checkUnhealthyEvery),
		Timeout:            durationpb.New(checkTimeout),
		UnhealthyThreshold: wrapperspb.UInt32(checksUntilUnwell),
		HealthyThreshold:   wrapperspb.UInt32(checksUntilWell),
		// Envoy would check a cluster without requests each minute. But that is what a cluster to fail over to is, and its
		// health has to be known when it is needed.
		NoTrafficInterval: durationpb.New(checkEvery),
	}
	if u.HealthPath == "" {
		check.HealthChecker = &corev3.HealthCheck_TcpHealthCheck_{TcpHealthCheck: &corev3.HealthCheck_TcpHealthCheck{}}
		return check
	}
	http := &corev3.HealthCheck_HttpHealthCheck{Path: u.HealthPath}
	if u.HTTP2 {
		http.CodecClientType = typev3.CodecClientType_HTTP2
	}
	check.HealthChecker = &corev3.HealthCheck_HttpHealthCheck_{HttpHealthCheck: http}
	return check
}

// outlierDetection takes out a host after as many consecutive failures as would open the breaker, and for as long.
func (u Upstream) outlierDetection(b *policy.CircuitBreaker) *clusterv3.OutlierDetection {
	return &clusterv3.OutlierDetection{
		// What counts as a failure is written in the cluster's HTTP options: see errorMatcher.
		Consecutive_5Xx:  wrapperspb.UInt32(uint32(b.FailureThreshold)),
		BaseEjectionTime: durationpb.New(b.RecoveryTimeout),
		MaxEjectionTime:  durationpb.New(b.MaxRecoveryTimeout),
		Interval:         durationpb.New(ejectionSweep),
		// Never so many that Envoy panics, which would bring all of them back. Envoy's default is 10 %, which takes out
		// nobody of nine hosts.
		MaxEjectionPercent: wrapperspb.UInt32(healthyPanicPercent),
		// The policy says nothing of hosts that are worse than the others.
		EnforcingSuccessRate: wrapperspb.UInt32(0),
		// That a host accepts connections says nothing about its answers; that it answers HealthPath well does.
		SuccessfulActiveHealthCheckUnejectHost: wrapperspb.Bool(u.HealthPath != ""),
	}
}
