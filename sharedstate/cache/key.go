package cache

import (
	"strconv"

	"github.com/weir-mesh/weir/sharedstate"
)

// prefix starts every key of the cache. A cluster's name may contain any byte, slashes and numbers too, so it comes
// last: then two different entries never have the same key.
const prefix = sharedstate.Prefix + "cache/"

// LedgerKey is the key of the ledger.
const LedgerKey = prefix + "ledger"

// IndexKey is the key of the index of one segment of a cluster's cache.
func IndexKey(cluster string, segment int) string {
	return prefix + "index/" + strconv.Itoa(segment) + "/" + cluster
}

// MarksKey is the key of what was invalidated lately in a cluster's cache.
func MarksKey(cluster string) string { return prefix + "marks/" + cluster }

// SlotKey is the key of one entry of a segment.
func SlotKey(cluster string, segment, slot int) string {
	return prefix + "slot/" + strconv.Itoa(segment) + "/" + strconv.Itoa(slot) + "/" + cluster
}
