package registry

import (
	"encoding/binary"

	"github.com/weir-mesh/weir/sharedstate"
)

// CacheObstacles are the obstacles of a cluster's cache that any worker has counted, a bit for each by its number. Envoy can't
// list metrics, and to look up one that nobody counts would define it: 31 for each cluster, of which it has a few.
type CacheObstacles struct {
	NotKept uint64
	NotUsed uint64
}

const (
	obstaclesVersion = 1
	obstaclesSize    = 18
)

func obstaclesKey(cluster string) string { return documentsKey + "/obstacles/" + cluster }

// The packed form, little endian: u8 version, u8 0, u64 NotKept, u64 NotUsed.

// AppendTo implements sharedstate.Packed.
func (o *CacheObstacles) AppendTo(b []byte) []byte {
	b = append(b, obstaclesVersion, 0)
	b = binary.LittleEndian.AppendUint64(b, o.NotKept)
	return binary.LittleEndian.AppendUint64(b, o.NotUsed)
}

// Unpack implements sharedstate.Packed.
func (o *CacheObstacles) Unpack(b []byte) (ok bool) {
	*o = CacheObstacles{}
	if len(b) != obstaclesSize || b[0] != obstaclesVersion || b[1] != 0 {
		return false
	}
	o.NotKept, o.NotUsed = binary.LittleEndian.Uint64(b[2:]), binary.LittleEndian.Uint64(b[10:])
	return true
}

// NoteCacheObstacles adds obstacles to those that were counted.
func NoteCacheObstacles(store sharedstate.Store, cluster string, more CacheObstacles) error {
	var o CacheObstacles
	_, err := sharedstate.NewCell(store, obstaclesKey(cluster), &o).Update(func() (changed bool) {
		before := o
		o.NotKept |= more.NotKept
		o.NotUsed |= more.NotUsed
		return o != before
	})
	return err
}

// ReadCacheObstacles reads those that were counted.
func ReadCacheObstacles(store sharedstate.Store, cluster string) (o CacheObstacles, err error) {
	_, err = sharedstate.NewCell(store, obstaclesKey(cluster), &o).Load()
	return o, err
}
