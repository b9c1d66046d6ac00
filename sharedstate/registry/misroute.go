package registry

import (
	"encoding/binary"
	"time"

	"github.com/weir-mesh/weir/sharedstate"
)

// Misroute is the last request that went to another cluster than the one whose policy decided, over all workers.
type Misroute struct {
	At      int64  // nanoseconds of a monotonic clock; 0: never
	Decided string // the cluster, or NoCluster
	Went    string // the cluster
}

// NoCluster stands for the cluster of a request that had none when Weir saw it.
const NoCluster = "none"

// misrouteShown is how long a misroute is shown: a cluster with few requests has one of 64 checked.
const misrouteShown = int64(time.Hour)

const (
	misrouteKey     = documentsKey + "/misroute"
	misrouteVersion = 1
	misrouteHeader  = 12
)

// The packed form, little endian: u8 version, u8 0, u16 length of Decided, i64 At, Decided, Went.

// AppendTo implements sharedstate.Packed.
func (m *Misroute) AppendTo(b []byte) []byte {
	le := binary.LittleEndian
	b = append(b, misrouteVersion, 0)
	b = le.AppendUint16(b, uint16(len(m.Decided)))
	b = le.AppendUint64(b, uint64(m.At))
	b = append(b, m.Decided...)
	return append(b, m.Went...)
}

// Unpack implements sharedstate.Packed.
func (m *Misroute) Unpack(b []byte) (ok bool) {
	*m = Misroute{}
	le := binary.LittleEndian
	if len(b) < misrouteHeader || b[0] != misrouteVersion || b[1] != 0 || len(b)-misrouteHeader < int(le.Uint16(b[2:])) {
		return false
	}
	names := string(b[misrouteHeader:])
	m.At, m.Decided, m.Went = int64(le.Uint64(b[4:])), names[:le.Uint16(b[2:])], names[le.Uint16(b[2:]):]
	return true
}

// PublishMisroute stores a misroute. Names are cut to 1,024 bytes.
func PublishMisroute(store sharedstate.Store, decided, went string, now int64) error {
	cut := func(s string) string { return s[:min(len(s), 1024)] }
	var m Misroute
	_, err := sharedstate.NewCell(store, misrouteKey, &m).Update(func() bool {
		m = Misroute{At: now, Decided: cut(decided), Went: cut(went)}
		return true
	})
	return err
}

// ReadMisroute reads the last misroute, the zero Misroute where there was none in the last hour.
func ReadMisroute(store sharedstate.Store, now int64) (m Misroute, err error) {
	if _, err = sharedstate.NewCell(store, misrouteKey, &m).Load(); err != nil || now-m.At > misrouteShown {
		return Misroute{}, err
	}
	return m, nil
}
