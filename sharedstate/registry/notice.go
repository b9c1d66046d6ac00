package registry

import (
	"encoding/binary"
	"time"

	"github.com/weir-mesh/weir/sharedstate"
)

// notice is the last event of a kind, over all workers: two names and when it was.
type notice struct {
	at          int64 // nanoseconds of a monotonic clock; 0: never
	first, last string
}

// noticeShown is how long a notice is shown: a cluster with few requests has one of 64 checked.
const noticeShown = int64(time.Hour)

const (
	noticeVersion = 1
	noticeHeader  = 12
)

// The packed form, little endian: u8 version, u8 0, u16 length of first, i64 at, first, last.

// AppendTo implements sharedstate.Packed.
func (n *notice) AppendTo(b []byte) []byte {
	le := binary.LittleEndian
	b = append(b, noticeVersion, 0)
	b = le.AppendUint16(b, uint16(len(n.first)))
	b = le.AppendUint64(b, uint64(n.at))
	b = append(b, n.first...)
	return append(b, n.last...)
}

// Unpack implements sharedstate.Packed.
func (n *notice) Unpack(b []byte) (ok bool) {
	*n = notice{}
	le := binary.LittleEndian
	if len(b) < noticeHeader || b[0] != noticeVersion || b[1] != 0 || len(b)-noticeHeader < int(le.Uint16(b[2:])) {
		return false
	}
	names := string(b[noticeHeader:])
	n.at, n.first, n.last = int64(le.Uint64(b[4:])), names[:le.Uint16(b[2:])], names[le.Uint16(b[2:]):]
	return true
}

// publishNotice stores a notice. Names are cut to 1,024 bytes.
func publishNotice(store sharedstate.Store, key, first, last string, now int64) error {
	cut := func(s string) string { return s[:min(len(s), 1024)] }
	var n notice
	_, err := sharedstate.NewCell(store, key, &n).Update(func() bool {
		n = notice{at: now, first: cut(first), last: cut(last)}
		return true
	})
	return err
}

// readNotice reads a notice, the zero notice where there was none in the last hour.
func readNotice(store sharedstate.Store, key string, now int64) (n notice, err error) {
	if _, err = sharedstate.NewCell(store, key, &n).Load(); err != nil || now-n.at > noticeShown {
		return notice{}, err
	}
	return n, nil
}
