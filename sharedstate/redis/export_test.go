package redis

import "testing"

// What the tests of leases, which import this package, need of its tests.

type Engine = engine

func OnEngines(t *testing.T, test func(t *testing.T, e *Engine)) { onEngines(t, test) }

func (e *engine) Name() string                               { return e.name }
func (e *engine) Second() bool                               { return e.second }
func (e *engine) Clear(t testing.TB)                         { e.clear(t) }
func CommandOf(l *Limit, p *Place, a *LeaseRequest) *Command { return command(l, p, a) }
func (e *engine) Run(l *Limit, c *Command, now int64) Result { return e.run(l, c, now) }
