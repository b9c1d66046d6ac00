package cache

import "github.com/dchest/siphash"

// PathHash is the Entry.Path of a path without its query. Seed is the process's, see sharedstate.Seed: its words change
// places, so that the hash says nothing about a key.
func PathHash(seed [2]uint64, path []byte) uint64 { return siphash.Hash(seed[1], seed[0], path) }
