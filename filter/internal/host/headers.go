package host

import (
	"unsafe"

	"github.com/weir-mesh/weir/filter/internal/host/pairs"
)

// Headers is a map in the host's form, read in place.
type Headers = pairs.Packed

// Text reads one of Envoy's attributes that is a text, or ErrNotFound.
func Text(p Path) (string, error) {
	value, err := Property(p)
	return text(value), err
}

// text is a string over the bytes themselves: they are the host's copy, and nothing writes to them.
func text(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
