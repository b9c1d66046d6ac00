package redis_test

import (
	"github.com/weir-mesh/weir/sharedstate"
	"github.com/weir-mesh/weir/sharedstate/redis/lease"
)

// pools are proxies of whose workers all take tokens from the proxy's pool.
type pools struct {
	mesh    *mesh
	config  lease.Config
	dice    *random
	stalls  uint64 // in 100 changes
	proxies map[int]*stallingStore
}

func newPools(m *mesh, config lease.Config, dice *random, stalls uint64) *pools {
	return &pools{mesh: m, config: config, dice: dice, stalls: stalls, proxies: map[int]*stallingStore{}}
}

// join starts a worker of a proxy. All workers of a proxy have one clock.
func (p *pools) join(proxy int) *worker {
	m := p.mesh
	if p.proxies[proxy] == nil {
		p.proxies[proxy] = &stallingStore{Store: sharedstate.NewMemory()}
	}
	w := m.newWorker()
	w.clock = int64(proxy)*1e12 + 1
	store := &stallingStore{Store: p.proxies[proxy].Store}
	store.stall = func() {
		if w.stalled || p.dice.next(100) >= p.stalls {
			return
		}
		w.stalled = true
		longest := 5 * milli
		if p.dice.next(10) == 0 {
			longest = 4 * timeout // others give its call up
		}
		m.run(m.now + int64(p.dice.next(uint64(longest))))
		w.stalled = false
	}
	w.tokens = pool{lease.NewPool(m.names(w, proxy), m.limit, p.config, store, "pool", 1, uint32(w.id+1))}
	m.tick(w)
	return w
}

// stallingStore lets time pass, and other workers be faster, between a load and a swap.
type stallingStore struct {
	sharedstate.Store
	stall func()
}

func (s *stallingStore) Get(key string) ([]byte, uint32, error) {
	value, cas, err := s.Store.Get(key)
	s.stall()
	return value, cas, err
}

// pool is a lease.Pool that can always be used.
type pool struct{ *lease.Pool }

func (p pool) Take(now int64) lease.Verdict {
	if v, ok := p.Pool.Take(now); ok {
		return v
	}
	return lease.Verdict{Decision: lease.RedisDown}
}
