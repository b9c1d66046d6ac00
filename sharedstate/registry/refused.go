package registry

import (
	"encoding/binary"
	"strings"
	"unicode/utf8"

	"github.com/weir-mesh/weir/sharedstate"
)

// Refused is the policy document that was refused last, the zero Refused where another one started after it.
type Refused struct {
	At      int64    // nanoseconds of a monotonic clock; 0: none
	Hash    uint64   // policy.Document.Hash; 0: the document could not be read at all
	Reasons []string // a line for each mistake
}

const (
	refusedKey     = documentsKey + "/refused"
	refusedVersion = 2
	refusedHeader  = 20
	// maxReasons bounds the reasons, in bytes with their ends of line. The log has them all.
	maxReasons = 4 << 10
)

// The packed form, little endian: u32 version, i64 At, u64 Hash, the reasons separated by ends of line.

// AppendTo implements sharedstate.Packed.
func (r *Refused) AppendTo(b []byte) []byte {
	le := binary.LittleEndian
	b = le.AppendUint32(b, refusedVersion)
	b = le.AppendUint64(b, uint64(r.At))
	b = le.AppendUint64(b, r.Hash)
	return append(b, strings.Join(r.Reasons, "\n")...)
}

// Unpack implements sharedstate.Packed.
func (r *Refused) Unpack(b []byte) (ok bool) {
	*r = Refused{}
	le := binary.LittleEndian
	if len(b) < refusedHeader || le.Uint32(b) != refusedVersion {
		return false
	}
	r.At, r.Hash = int64(le.Uint64(b[4:])), le.Uint64(b[12:])
	if len(b) > refusedHeader {
		r.Reasons = strings.Split(string(b[refusedHeader:]), "\n")
	}
	return true
}

// PublishRefused stores that a document was refused; the zero Refused that none is. Reasons beyond 4 KiB are left out,
// and the last line says so.
func PublishRefused(store sharedstate.Store, refused Refused) error {
	var r Refused
	_, err := sharedstate.NewCell(store, refusedKey, &r).Update(func() bool {
		if r.At == 0 && refused.At == 0 {
			return false
		}
		r = Refused{At: refused.At, Hash: refused.Hash, Reasons: shortened(refused.Reasons)}
		return true
	})
	return err
}

func shortened(reasons []string) (kept []string) {
	size := 0
	for _, reason := range reasons {
		reason = strings.ToValidUTF8(strings.ReplaceAll(reason, "\n", " "), string(utf8.RuneError))
		if size += len(reason) + 1; size > maxReasons {
			return append(kept, "there are more: see Envoy's log")
		}
		kept = append(kept, reason)
	}
	return kept
}

// ReadRefused reads which document was refused last.
func ReadRefused(store sharedstate.Store) (r Refused, err error) {
	_, err = sharedstate.NewCell(store, refusedKey, &r).Load()
	return r, err
}
