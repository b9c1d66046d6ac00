package mesh

import (
	"errors"
	"time"

	"github.com/weir-mesh/weir/sharedstate/redis"
	"github.com/weir-mesh/weir/sharedstate/registry"
)

// Failure is why a call to Redis failed, or the part of it for one cluster's limit.
type Failure struct {
	redis.Error
	Cluster string // whose limit it concerns; "": all
}

// Log is the failure as a log line: what happened, then what to do.
func (f *Failure) Log() string {
	text := f.Error.Error()
	if f.Cluster != "" {
		text += ", for the limit of " + f.Cluster
	}
	return text + "; " + f.Advice(f.Cluster)
}

// failureOf is the failure of a whole call with an error of package redis, nil without one.
func failureOf(err error) *Failure {
	if err == nil {
		return nil
	}
	if known, ok := errors.AsType[*redis.Error](err); ok {
		return &Failure{Error: *known}
	}
	return &Failure{Error: redis.Error{Kind: redis.Unavailable, Detail: err.Error()}}
}

// partFailure is the failure of the part of a call for one cluster's limit.
func partFailure(err error, cluster string) *Failure {
	f := failureOf(err)
	if f != nil && f.Scope() != redis.OfRedis {
		f.Cluster = cluster
	}
	return f
}

// notSent is the error of a call that Envoy did not take.
func notSent(err error) *redis.Error {
	return &redis.Error{Kind: redis.Unavailable, Detail: redis.NotSent + err.Error()}
}

// ended notes how a call, or the part of it for one limit, ended. Failure is nil where it succeeded.
func (c *Client) ended(failure *Failure, took time.Duration) {
	if failure == nil {
		c.sinceBeat.Succeeded = true
	} else {
		c.sinceBeat.Failed = &registry.RedisFailure{Kind: uint8(failure.Kind), Cluster: failure.Cluster, Detail: failure.Detail}
	}
	c.observer.Called(failure, took)
}
