// Package statuses is a set of HTTP status codes.
package statuses

// Max is the largest status code.
const Max = 599

// Set is a set of status codes, a bit each. It is a part of every policy: an array of 600 bool was 7 % of the Wasm module's code,
// since TinyGo copies an array bool by bool.
type Set [(Max + 64) / 64]uint64

// Add adds a code from 0 to Max; any other is left out.
func (s *Set) Add(code int) {
	if code >= 0 && code <= Max {
		s[code/64] |= 1 << (code % 64)
	}
}

// AddClass adds the 100 codes that begin with a digit from 1 to 5.
func (s *Set) AddClass(digit int) {
	for code := digit * 100; code < digit*100+100; code++ {
		s.Add(code)
	}
}

// RemoveClass removes the 100 codes that begin with a digit from 1 to 5.
func (s *Set) RemoveClass(digit int) {
	for code := digit * 100; code < digit*100+100; code++ {
		s[code/64] &^= 1 << (code % 64)
	}
}

// Has reports whether a code is in the set.
func (s *Set) Has(code int) bool {
	return code >= 0 && code <= Max && s[code/64]&(1<<(code%64)) != 0
}

// HasClass reports whether all 100 codes that begin with a digit from 1 to 5 are in the set.
func (s *Set) HasClass(digit int) bool {
	for code := digit * 100; code < digit*100+100; code++ {
		if !s.Has(code) {
			return false
		}
	}
	return true
}
