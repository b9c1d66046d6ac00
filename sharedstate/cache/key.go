package cache

import "strconv"

// prefix is the shared store's, as in sharedstate/key.go. A cluster's name may hold any byte, slashes and numbers too, so
// it comes last: what is before it is read in one way only.
const prefix = "weir/1/cache/"

// LedgerKey is where it is written who holds how much of MaxBytes.
const LedgerKey = prefix + "ledger"

// IndexKey is where the index of one segment of a cluster's cache is kept.
func IndexKey(cluster string, segment int) string {
	return prefix + "index/" + strconv.Itoa(segment) + "/" + cluster
}

// SlotKey is where one entry of a segment is kept.
func SlotKey(cluster string, segment, slot int) string {
	return prefix + "slot/" + strconv.Itoa(segment) + "/" + strconv.Itoa(slot) + "/" + cluster
}
