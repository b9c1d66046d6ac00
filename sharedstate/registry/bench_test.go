package registry

import (
	"fmt"
	"testing"
	"time"

	"github.com/weir-mesh/weir/policy"
	"github.com/weir-mesh/weir/sharedstate"
)

// allSectionsEntry has a policy with all sections; its packed form is 140 bytes.
func allSectionsEntry(i int) Entry {
	return Entry{Cluster: fmt.Sprintf("aws_pricing_%05d", i), Policy: policy.Policy{
		RateLimit: &policy.RateLimit{
			Algorithm: policy.Adaptive, Requests: 100, Window: time.Minute, Burst: 20, Refill: 100.0 / 60, AdaptiveThreshold: 0.8, BackoffFactor: 0.7,
			RecoveryFactor: 1.2, AdaptiveInterval: 10 * time.Second, AdaptiveMinSamples: 10, MaxKeys: 1024, Key: []policy.KeyPart{{Kind: policy.KeyPath}},
		},
		CircuitBreaker: &policy.CircuitBreaker{
			FailureThreshold: 5, SuccessThreshold: 3, HalfOpenMaxCalls: 3, RecoveryTimeout: time.Minute, MaxRecoveryTimeout: time.Minute,
			FailureRate: &policy.FailureRate{Threshold: 0.5}, SlowCalls: &policy.SlowCalls{Threshold: 0.5},
		},
		Retry:    &policy.Retry{MaxAttempts: 3, Budget: policy.RetryBudget{Percent: 20, MinPerSecond: 3}},
		Fallback: &policy.Fallback{EnableCache: true, MaxEntries: 1000},
		Bulkhead: &policy.Bulkhead{MaxConcurrent: 100},
		Failover: &policy.Failover{To: []string{"aws_pricing_eu"}},
	}}
}

func TestPackedSize(t *testing.T) {
	e := allSectionsEntry(1)
	if got, want := len(e.AppendTo(nil)), 143; got != want {
		t.Errorf("got %d bytes, want %d, as the package comment says", got, want)
	}
}

func BenchmarkPublish1000(b *testing.B) {
	for b.Loop() {
		p := NewPublisher(sharedstate.NewMemory(), 1, false)
		for i := range 1000 {
			p.Add(allSectionsEntry(i))
		}
		if _, err := p.Heartbeat(second); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRead1000(b *testing.B) {
	s := sharedstate.NewMemory()
	p := NewPublisher(s, 1, false)
	for i := range 1000 {
		p.Add(allSectionsEntry(i))
	}
	if _, err := p.Heartbeat(second); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if l, err := Read(s, second); err != nil || len(l.Entries) != 1000 {
			b.Fatal(len(l.Entries), err)
		}
	}
}
