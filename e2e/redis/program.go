package redis

import "testing"

// Program is any other child with the handles of a Server and a Bridge, such as a peer that a benchmark compares with.
type Program struct{ process }

// NewProgram starts a program and returns once it listens on address (host:port). environ is added to the test's own.
func NewProgram(t testing.TB, program string, arguments, environ []string, address string) *Program {
	t.Helper()
	p := &Program{process{program: program, arguments: arguments, environ: environ, address: address}}
	p.start(t)
	return p
}
