package registry

import (
	"testing"

	"github.com/weir-mesh/weir/sharedstate"
)

func TestCacheObstacles(t *testing.T) {
	store := sharedstate.NewMemory()
	read := func(want CacheObstacles) {
		t.Helper()
		if got, err := ReadCacheObstacles(store, "aws"); err != nil || got != want {
			t.Errorf("ReadCacheObstacles = %+v, %v, want %+v", got, err, want)
		}
	}
	read(CacheObstacles{})
	for _, more := range []CacheObstacles{{NotKept: 1 << 3}, {NotUsed: 1 << 63}, {NotKept: 1 << 5, NotUsed: 1 << 63}} {
		if err := NoteCacheObstacles(store, "aws", more); err != nil {
			t.Fatal(err)
		}
	}
	read(CacheObstacles{NotKept: 1<<3 | 1<<5, NotUsed: 1 << 63})
	if err := store.Set(obstaclesKey("aws"), []byte("of another program"), 0); err != nil {
		t.Fatal(err)
	}
	read(CacheObstacles{})
}
