package policy

import (
	"strings"
	"testing"
	"time"
)

// TestFractionsThatEnvoyMakesStrings: 1.67 in envoy.yaml arrives as the string "1.67", while 20 stays a number.
func TestFractionsThatEnvoyMakesStrings(t *testing.T) {
	const document = `{"clusters": {"a": {
		"rate_limit": {"refill_rate": "1.67"},
		"circuit_breaker": {"recovery_timeout": "1.5", "timeout": "2e1"}}}}`
	doc, err := Decode(structBytes(t, []byte(document)), noVariables)
	if err != nil {
		t.Fatal(err)
	}
	p := doc.For("a")
	if p.RateLimit.Refill != 1.67 || p.CircuitBreaker.RecoveryTimeout != 1500*time.Millisecond || p.CircuitBreaker.Timeout != 20*time.Second {
		t.Errorf("got %v, %v, %v, want 1.67, 1.5s, 20s", p.RateLimit.Refill, p.CircuitBreaker.RecoveryTimeout, p.CircuitBreaker.Timeout)
	}
	if _, err := Decode([]byte(document), noVariables); err == nil || strings.Count(err.Error(), "remove the quotes") != 3 {
		t.Errorf("quoted numbers in JSON: got %v, want 3 mistakes", err)
	}
	for _, whole := range []string{"20", "+20"} {
		if _, err := Decode(structBytes(t, []byte(`{"clusters": {"a": {"rate_limit": {"requests": "`+whole+`"}}}}`)), noVariables); err == nil {
			t.Errorf("the quoted whole number %s in a Struct: got no mistake, want one", whole)
		}
	}
	if _, err := Decode(structBytes(t, []byte(`{"clusters": {"a": {"rate_limit": {"requests": "1.5"}}}}`)), noVariables); err == nil ||
		!strings.Contains(err.Error(), "whole number") {
		t.Errorf("a fraction for a whole number: got %v, want a mistake about the whole number", err)
	}
}
