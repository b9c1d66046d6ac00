package policy

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fuzzVariables gives fuzzed documents a few variables, one of them long.
var fuzzVariables = variables(map[string]string{"A": "20", "EMPTY": "", "ON": "true", "LONG": strings.Repeat("x", 1<<19), "LATIN1": "\xe9"})

// FuzzDecode feeds text: the seeds are JSON.
func FuzzDecode(f *testing.F) {
	for _, document := range seeds(f) {
		f.Add(document)
	}
	f.Fuzz(checkDecode)
}

// FuzzDecodeStruct feeds wire bytes: the seeds are Structs.
func FuzzDecodeStruct(f *testing.F) {
	for _, document := range seeds(f) {
		f.Add(structBytes(f, document))
	}
	f.Fuzz(checkDecode)
}

// seeds are the documents of testdata, as JSON.
func seeds(f *testing.F) [][]byte {
	f.Helper()
	files, err := filepath.Glob("testdata/*/*.yaml")
	if err != nil || len(files) == 0 {
		f.Fatal(err, len(files))
	}
	all := [][]byte{
		[]byte(everySection),
		[]byte(`{"default": {"rate_limit": {"requests": "${A:-5}", "key": [{"header": "${ON}"}, "path"]}, "mode": false}}`),
		[]byte(`{"clusters": {"*": {"circuit_breaker": {"timeout": "${A}s", "expected_failures": ["${A}0", 429]}}}}`),
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		all = append(all, toJSON(f, text))
	}
	return all
}

// checkDecode wants either a document within its bounds, or mistakes of one line each.
func checkDecode(t *testing.T, raw []byte) {
	doc, err := Decode(raw, fuzzVariables)
	if err != nil {
		var mistakes *Mistakes
		if !errors.As(err, &mistakes) || len(mistakes.List) == 0 || doc != nil {
			t.Fatalf("got document %v and error %T (%v), want no document and *Mistakes", doc, err, err)
		}
		for _, m := range mistakes.List {
			if m.Text == "" || hasControl(m.String()) {
				t.Errorf("got mistake %q, want one line", m.String())
			}
		}
		return
	}
	if doc.Admin && (len(doc.Clusters) > 0 || doc.Default != nil || doc.Redis != nil) {
		t.Errorf("got admin together with %+v, want it alone", doc)
	}
	for _, c := range doc.Clusters {
		if p := doc.For(c.Pattern); p != c.Policy && c.Policy.Mode != ModeOff {
			t.Errorf("For(%q) = %p, want its own policy %p", c.Pattern, p, c.Policy)
		}
	}
	doc.Each(func(path string, p *Policy) {
		if r := p.RateLimit; r != nil && (r.Requests < 1 || r.Requests > maxRequests || r.Burst < 1 || !(r.Refill > 0) || r.Lease.TTL > r.Window/10) {
			t.Errorf("%s.rate_limit: got %+v, want it within its bounds", path, r)
		}
		if b := p.CircuitBreaker; b != nil && (b.FailureThreshold < 1 || b.RecoveryTimeout < shortest || b.MaxRecoveryTimeout < b.RecoveryTimeout || b.HalfOpenMaxCalls > 32) {
			t.Errorf("%s.circuit_breaker: got %+v, want it within its bounds", path, b)
		}
		if f := p.Fallback; f != nil && (f.DegradedStatus < 200 || f.DegradedStatus > 599 || f.Staleness < f.TTL) {
			t.Errorf("%s.fallback: got %+v, want it within its bounds", path, f)
		}
	})
}
