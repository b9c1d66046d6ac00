package sharedstate

import "errors"

// The two errors of a Store that are part of its use. Any other error is a fault of the host.
var (
	ErrNotFound = errors.New("sharedstate: no such key")
	ErrMismatch = errors.New("sharedstate: changed by another worker")
)

// CreateCAS is the cas that creates a key: on a missing key any cas succeeds, and on an existing one this one mismatches.
// (With cas 0 Envoy overwrites an existing key without a check, other than the ABI's documentation says.)
const CreateCAS uint32 = 1<<32 - 1

// Store is Envoy's shared data: values under keys, each with a number that changes with every Set.
type Store interface {
	// Get returns a key's value and its cas, or ErrNotFound. The value belongs to the caller.
	Get(key string) (value []byte, cas uint32, err error)
	// Set stores a copy of value if cas is still the key's, or the key is missing. Else the error is ErrMismatch. (Cas 0
	// overwrites without a check; nothing here uses it.)
	Set(key string, value []byte, cas uint32) error
}
