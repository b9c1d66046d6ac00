package sharedstate

import (
	"encoding/binary"
	"errors"
)

// LiveProxies is how many proxies share a cluster's limit by Redis's last reply, expected where it never replied.
func LiveProxies(s Store, cluster string, expected int64) (int64, error) {
	value, _, err := s.Get(LiveKey(cluster))
	if errors.Is(err, ErrNotFound) || err == nil && len(value) != 8 {
		return max(expected, 1), nil
	}
	if err != nil {
		return max(expected, 1), err
	}
	return max(int64(binary.LittleEndian.Uint64(value)), 1), nil
}
