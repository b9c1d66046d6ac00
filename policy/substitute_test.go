package policy

import (
	"testing"
	"time"
)

func TestSubstituteText(t *testing.T) {
	known := variables(map[string]string{"NAME": "value", "EMPTY": "", "_a1": "x", "DOLLARS": "${NAME}"})
	tests := []struct {
		text, want  string
		substituted bool
	}{
		{"plain", "plain", false},
		{"$NAME $ $$", "$NAME $ $$", false},
		{"${NAME}", "value", true},
		{"a-${NAME}-${_a1}", "a-value-x", true},
		{"${EMPTY}", "", true},
		{"${EMPTY:-other}", "other", true},
		{"${UNSET:-other}", "other", true},
		{"${UNSET:-}", "", true},
		{"${UNSET:-a:-b}", "a:-b", true},
		{"${NAME:-other}", "value", true},
		{"$${NAME}", "${NAME}", false},
		{"$$${NAME}", "$${NAME}", false},
		{"$${${NAME}}", "${value}", true},
		{"${DOLLARS}", "${NAME}", true}, // a value is not read again
	}
	for _, test := range tests {
		t.Run(test.text, func(t *testing.T) {
			d := &decoder{getenv: known}
			got, substituted := d.substituteText(test.text)
			if got != test.want || substituted != test.substituted || len(d.mistakes) > 0 {
				t.Errorf("got %q, %t, %v; want %q, %t", got, substituted, d.mistakes, test.want, test.substituted)
			}
		})
	}
}

func TestVariablesInValuesOfAnyType(t *testing.T) {
	const document = `
clusters:
  ${NOT_IN_KEYS}:
    mode: ${MODE}
    rate_limit: {requests_per_minute: "${AWS_RATE_LIMIT:-20}", refill_rate: "${REFILL}", burst_capacity: "${TENS}0"}
    circuit_breaker: {recovery_timeout: "${CIRCUIT_BREAKER_RECOVERY_TIMEOUT:-60}", timeout: "${TIMEOUT}", expected_failures: ["${STATUS}"]}
    fallback: {enable_cache_fallback: "${CACHE}", default_data: {body: {limit: "${TENS}"}}}
`
	getenv := variables(map[string]string{
		"MODE": "shadow", "REFILL": " 0.5\n", "TENS": "3", "TIMEOUT": "1m30s", "STATUS": "429", "CACHE": "False",
	})
	for form, encode := range forms {
		t.Run(form, func(t *testing.T) {
			doc, err := Decode(encode(t, []byte(document)), getenv)
			if err != nil {
				t.Fatal(err)
			}
			if name := doc.Clusters[0].Pattern; name != "${NOT_IN_KEYS}" {
				t.Errorf("got the key %s, want it unchanged", name)
			}
			p := doc.Clusters[0].Policy
			switch {
			case p.Mode != ModeShadow,
				p.RateLimit.Requests != 20, p.RateLimit.Refill != 0.5, p.RateLimit.Burst != 30,
				p.CircuitBreaker.RecoveryTimeout != time.Minute, p.CircuitBreaker.Timeout != 90*time.Second,
				!p.CircuitBreaker.ExpectedFailures.Statuses.Has(429),
				p.Fallback.EnableCache, string(p.Fallback.Default.Body) != `{"limit":"3"}`:
				t.Errorf("got %+v, %+v, %+v, %s, want the values of the variables", p.Mode, p.RateLimit, p.CircuitBreaker, p.Fallback.Default.Body)
			}
		})
	}
}
