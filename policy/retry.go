package policy

import (
	"strings"
	"time"
)

const maxBodyBytes = 1 << 20

// decodeRetry reads `retry`.
func decodeRetry(s *section) *Retry {
	if s == nil {
		return nil
	}
	r := &Retry{
		MaxAttempts:     int(s.whole("max_attempts", 3, 1, 10)),
		BaseDelay:       s.duration("base_delay", time.Second, shortest, longest),
		MaxDelay:        s.duration("max_delay", time.Minute, shortest, longest),
		ExponentialBase: s.number("exponential_base", 2, between{low: 1, high: 10}),
		Jitter:          s.boolean("jitter", true),
		RetryOn:         decodeFailures(s, "retry_on", "5xx", "reset", "connect_failure", "timeout"),
		Methods:         s.texts("methods", "methods", []string{"GET", "HEAD", "OPTIONS", "PUT", "DELETE"}, method),
		Driver:          RetryDriver(s.choice("driver", "envoy", "filter")),
		MaxBodyBytes:    s.whole("max_body_bytes", 65536, 0, maxBodyBytes),
	}
	r.PerTryTimeout, _ = s.optionalDuration("per_try_timeout", "none", shortest, longest)
	r.Budget = decodeRetryBudget(s.subsection("budget"))
	r.Via = s.text("via", "cluster", "", func(name string) string {
		if name == "" {
			return ""
		}
		return clusterName(name)
	})
	if r.Driver == DriverFilter && r.Via == "" && s.clean() {
		s.mistake("via", "missing: the filter's attempts go through an internal listener with the routes, else they would get past what those do; write the cluster that leads to it (`weir render` writes both), or `driver: envoy`")
	}
	checkRetriedGRPC(s, r)
	s.notBelow("max_delay", r.MaxDelay, "base_delay", r.BaseDelay)
	if r.Driver == DriverEnvoy {
		// The router's back-off is fixed: a policy with another one would not get it.
		if r.ExponentialBase != 2 {
			s.mistake("exponential_base", "must be 2, the only base of Envoy's router, got "+numberText(r.ExponentialBase)+"; write 2 or `driver: filter`")
		}
		if !r.Jitter {
			s.mistake("jitter", "must be true, because Envoy's router always adds jitter; write true or `driver: filter`")
		}
	}
	s.end()
	return r
}

// checkRetriedGRPC refuses the gRPC codes of retry_on on which the driver can't retry.
func checkRetriedGRPC(s *section, r *Retry) {
	for code, listed := range r.RetryOn.GRPC {
		switch {
		case !listed:
		case r.Driver == DriverFilter:
			s.mistake("retry_on", "the filter can't retry gRPC, whose status comes after the body; remove \"grpc:"+grpcCodes[code]+"\", or write `driver: envoy`")
		case RouterGRPC(code) == "":
			s.mistake("retry_on", "Envoy's router can't retry on \"grpc:"+grpcCodes[code]+"\", only on cancelled, deadline_exceeded, internal, resource_exhausted and unavailable; remove it")
		}
	}
}

// RouterGRPC is the name of a gRPC status code in the router's x-envoy-retry-grpc-on, "" if the router can't retry on
// it. https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/router_filter#x-envoy-retry-grpc-on
func RouterGRPC(code int) string {
	switch name := grpcCodes[code]; name {
	case "cancelled", "deadline_exceeded", "internal", "resource_exhausted", "unavailable":
		return strings.ReplaceAll(name, "_", "-")
	}
	return ""
}

func decodeRetryBudget(s *section) RetryBudget {
	b := RetryBudget{
		Percent:      s.number("percent", 20, between{low: 0, high: 100}),
		MinPerSecond: s.number("min_per_second", 3, between{low: 0, high: maxCount}),
	}
	s.end()
	return b
}
