package sharedstate

import (
	"bytes"
	"sync"
)

// Memory is a Store with Envoy's semantics in a map, for tests and for code that runs outside of a proxy.
type Memory struct {
	mu      sync.Mutex
	entries map[string]entry
	next    uint32
}

type entry struct {
	value []byte
	cas   uint32
	sets  uint64
}

// NewMemory returns an empty store.
func NewMemory() *Memory { return &Memory{entries: map[string]entry{}} }

// Get implements Store.
func (m *Memory) Get(key string) ([]byte, uint32, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e, ok := m.entries[key]
	if !ok {
		return nil, 0, ErrNotFound
	}
	return bytes.Clone(e.value), e.cas, nil
}

// Set implements Store. As in Envoy, cas numbers come from one counter for all keys, and are never 0
// (proxy-wasm-cpp-host, SharedData::nextCas).
func (m *Memory) Set(key string, value []byte, cas uint32) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if e, ok := m.entries[key]; ok && cas != 0 && cas != e.cas {
		return ErrMismatch
	}
	m.next++
	if m.next == 0 || m.next == CreateCAS {
		m.next = 1
	}
	m.entries[key] = entry{value: bytes.Clone(value), cas: m.next, sets: m.entries[key].sets + 1}
	return nil
}

// Version implements Versioned.
func (m *Memory) Version(key string) Version { return memoryVersion{m, key} }

type memoryVersion struct {
	memory *Memory
	key    string
}

// Read implements Version.
func (v memoryVersion) Read() (uint64, bool) {
	v.memory.mu.Lock()
	defer v.memory.mu.Unlock()
	return v.memory.entries[v.key].sets, true
}

// Len is the number of keys.
func (m *Memory) Len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.entries)
}
