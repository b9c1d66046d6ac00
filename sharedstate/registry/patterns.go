package registry

import (
	"encoding/binary"
	"errors"
	"slices"
	"strconv"

	"github.com/weir-mesh/weir/sharedstate"
)

// unmatched are the patterns of one document that no request's cluster has matched since the document came into force.
type unmatched struct {
	claim    uint32 // of the document's row
	patterns []string
}

// maxPatterns bounds the patterns that are published, in bytes; others are left out.
const maxPatterns = 4 << 10

const unmatchedVersion = 1

func unmatchedKey(slot int) string { return documentsKey + "/unmatched/" + strconv.Itoa(slot) }

// The packed form, little endian: u8 version, u32 claim, for each pattern u16 length, the pattern.

// AppendTo implements sharedstate.Packed.
func (u *unmatched) AppendTo(b []byte) []byte {
	b = binary.LittleEndian.AppendUint32(append(b, unmatchedVersion), u.claim)
	for _, p := range u.patterns {
		b = append(binary.LittleEndian.AppendUint16(b, uint16(len(p))), p...)
	}
	return b
}

// Unpack implements sharedstate.Packed.
func (u *unmatched) Unpack(b []byte) (ok bool) {
	*u = unmatched{}
	if len(b) < 5 || b[0] != unmatchedVersion {
		return false
	}
	claim := binary.LittleEndian.Uint32(b[1:])
	var patterns []string
	for b = b[5:]; len(b) >= 2; {
		size := int(binary.LittleEndian.Uint16(b))
		if b = b[2:]; size > len(b) {
			return false
		}
		patterns = append(patterns, string(b[:size]))
		b = b[size:]
	}
	*u = unmatched{claim: claim, patterns: patterns}
	return len(b) == 0
}

// AddPattern publishes a pattern of the document with the next Heartbeat, as one that matches nothing.
func (p *Publisher) AddPattern(pattern string) {
	if p.patternBytes += len(pattern) + 2; p.patternBytes <= maxPatterns {
		p.patterns = append(p.patterns, pattern)
	}
}

// Matched says that a request went to a cluster that this pattern of the document matches.
func (p *Publisher) Matched(pattern string) {
	if i := slices.Index(p.patterns, pattern); i >= 0 && !slices.Contains(p.matched, pattern) {
		p.matched, p.patternsShown = append(p.matched, pattern), 0
	}
}

// Unmatched is how many patterns match nothing, over all workers, after the last Heartbeat.
func (p *Publisher) Unmatched() int { return p.unmatched }

// publishPatterns writes which patterns match nothing, where this worker knows something new.
func (p *Publisher) publishPatterns() error {
	if len(p.patterns) == 0 {
		return nil
	}
	var u unmatched
	cell := sharedstate.NewCell(p.store, unmatchedKey(p.slot), &u)
	if p.patternsShown == p.claim {
		_, err := cell.Load()
		p.unmatched = len(u.patterns)
		return err
	}
	_, err := cell.Update(func() (store bool) {
		if u.claim > p.claim { // another document has the row now
			return false
		}
		if u.claim < p.claim {
			u, store = unmatched{claim: p.claim, patterns: slices.Clone(p.patterns)}, true
		}
		left := u.patterns[:0]
		for _, pattern := range u.patterns {
			if !slices.Contains(p.matched, pattern) {
				left = append(left, pattern)
			}
		}
		store = store || len(left) < len(u.patterns)
		u.patterns = left
		return store
	})
	if err == nil {
		p.patternsShown, p.unmatched = p.claim, len(u.patterns)
	}
	return err
}

// readUnmatched reads the patterns of a document that match nothing.
func readUnmatched(store sharedstate.Store, slot int, claim uint32) ([]string, error) {
	var u unmatched
	_, err := sharedstate.NewCell(store, unmatchedKey(slot), &u).Load()
	if errors.Is(err, sharedstate.ErrNotFound) || u.claim != claim {
		return nil, nil
	}
	return u.patterns, err
}
