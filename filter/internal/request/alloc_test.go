package request_test

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/weir-mesh/weir/filter/internal/request"
	"github.com/weir-mesh/weir/filter/internal/requesttest"
	"github.com/weir-mesh/weir/sharedstate"
)

func TestAnOrdinaryRequestAllocatesNothing(t *testing.T) {
	for name, rules := range map[string]string{
		"token bucket":    `{"circuit_breaker":{},"rate_limit":{"algorithm":"token_bucket","burst_capacity":1000000,"refill_rate":1000000}}`,
		"sliding window":  `{"circuit_breaker":{},"rate_limit":{"requests":1000000,"window_size":"1s"}}`,
		"adaptive":        `{"circuit_breaker":{},"rate_limit":{"algorithm":"adaptive","requests":1000000,"window_size":"1s"}}`,
		"bulkhead, rates": `{"circuit_breaker":{"failure_rate":{},"slow_calls":{}},"bulkhead":{"max_concurrent":10}}`,
	} {
		t.Run(name, func(t *testing.T) {
			c, now := unobserved(t, rules), int64(time.Hour)
			r := &request.Request{}
			once := func() {
				*r = request.Request{}
				now += ms
				r.Begin(c, &request.Incoming{}, now)
				r.Respond(&request.Response{Status: 200, Details: up, GRPC: -1}, now)
				r.End(-1, now)
			}
			once()
			if n := testing.AllocsPerRun(100, once); n > 0 {
				t.Errorf("got %v allocations a request, want 0", n)
			}
		})
	}
}

func BenchmarkRequest(b *testing.B) {
	for name, rules := range map[string]string{
		"token bucket": `{"circuit_breaker":{},"rate_limit":{"algorithm":"token_bucket","burst_capacity":1000000,"refill_rate":1000000}}`,
		"window 100":   `{"circuit_breaker":{},"rate_limit":{"requests":100,"window_size":"100ms"}}`,
		"window 512":   `{"circuit_breaker":{},"rate_limit":{"requests":512,"window_size":"510ms"}}`,
		"sub-windows":  `{"circuit_breaker":{},"rate_limit":{"requests":1000000,"window_size":"1s"}}`,
		"bulkhead":     `{"bulkhead":{"max_concurrent":10}}`,
		"by key":       `{"rate_limit":{"algorithm":"token_bucket","burst_capacity":1000000,"refill_rate":1000000,"key":["path"]}}`,
	} {
		b.Run(name, func(b *testing.B) {
			c, now := unobserved(b, rules), int64(time.Hour)
			r := &request.Request{}
			var n [8]byte
			b.ReportAllocs()
			for b.Loop() {
				*r = request.Request{}
				now += ms
				binary.LittleEndian.PutUint64(n[:], uint64(now))
				r.Begin(c, &request.Incoming{Key: fingerprint(uint64(n[2]))}, now)
				r.Respond(&request.Response{Status: 200, Details: up, GRPC: -1}, now)
				r.End(-1, now)
			}
		})
	}
}

// unobserved is a cluster of a worker that allocates nothing of its own.
func unobserved(t testing.TB, rules string) *request.Cluster {
	t.Helper()
	document := requesttest.Decode(t, `{"clusters":{"aws":`+rules+`}}`)
	w := requesttest.NewWorker(t, &mapStore{values: map[string][]byte{}})
	return request.NewCluster("aws", document.For("aws"), w, nil, nil, requesttest.Discard{})
}

// mapStore is a store for one worker, which allocates nothing once it has its keys.
type mapStore struct{ values map[string][]byte }

func (s *mapStore) Get(key string) ([]byte, uint32, error) {
	value, ok := s.values[key]
	if !ok {
		return nil, 0, sharedstate.ErrNotFound
	}
	return value, 1, nil
}

func (s *mapStore) Set(key string, value []byte, _ uint32) error {
	s.values[key] = append(s.values[key][:0], value...)
	return nil
}
