package e2e

import (
	"encoding/json"
	"testing"
)

// problem is the body of Weir's own errors (RFC 9457). docs/answers.md shows one.
type problem struct {
	Type         string   `json:"type"`
	Title        string   `json:"title"`
	Status       int      `json:"status"`
	Detail       string   `json:"detail"`
	Data         any      `json:"data"`
	Source       string   `json:"source"`
	FallbackUsed bool     `json:"fallback_used"`
	DegradedMode bool     `json:"degraded_mode"`
	Warnings     []string `json:"warnings"`
	Error        string   `json:"error"`
	RetryAfter   int      `json:"retry_after"`
}

func problemOf(t *testing.T, body string) problem {
	t.Helper()
	var p problem
	if err := json.Unmarshal([]byte(body), &p); err != nil {
		t.Fatalf("%v in %q", err, body)
	}
	return p
}
