package policy

import (
	"strings"
	"testing"
	"time"
)

// TestFractionsThatEnvoyMadeStringsOf: in envoy.yaml 1.67 reaches the filter as the string "1.67", while 20 stays a number.
func TestFractionsThatEnvoyMadeStringsOf(t *testing.T) {
	const document = `{"clusters": {"a": {
		"rate_limit": {"refill_rate": "1.67"},
		"circuit_breaker": {"recovery_timeout": "1.5", "timeout": "2e1"}}}}`
	doc, err := Decode(structBytes(t, []byte(document)), noVariables)
	if err != nil {
		t.Fatal(err)
	}
	p := doc.For("a")
	if p.RateLimit.Refill != 1.67 || p.CircuitBreaker.RecoveryTimeout != 1500*time.Millisecond || p.CircuitBreaker.Timeout != 20*time.Second {
		t.Errorf("got %v, %v, %v", p.RateLimit.Refill, p.CircuitBreaker.RecoveryTimeout, p.CircuitBreaker.Timeout)
	}
	if _, err := Decode([]byte(document), noVariables); err == nil || strings.Count(err.Error(), "drop the quotes") != 3 {
		t.Errorf("in JSON a quoted number is a mistake: %v", err)
	}
	if _, err := Decode(structBytes(t, []byte(`{"clusters": {"a": {"rate_limit": {"requests": "20"}}}}`)), noVariables); err == nil {
		t.Error("a whole number that is a string was in quotes: a mistake in both forms")
	}
	if _, err := Decode(structBytes(t, []byte(`{"clusters": {"a": {"rate_limit": {"requests": "1.5"}}}}`)), noVariables); err == nil ||
		!strings.Contains(err.Error(), "whole number") {
		t.Errorf("a fraction where a whole number belongs: %v", err)
	}
}
