package registry

import (
	"encoding/binary"
	"time"

	"github.com/weir-mesh/weir/policy/spacesaving"
	"github.com/weir-mesh/weir/sharedstate"
)

// RefusedKeys are the keys that a limit has refused most, lately and over all workers. A key is a hash that can't be turned
// back; its text is the key itself where the policy has show_keys: plain.
type RefusedKeys struct {
	Since int64 // the first refusal that is counted, nanoseconds of a monotonic clock; 0: there was none
	Last  int64 // the last one
	Total uint64
	Keys  spacesaving.Sketch
}

// keysPeriod is how long refusals are counted together. The period that runs and the one before it are shown: at most the last
// quarter of an hour while a limit refuses, and the last ones after that.
const keysPeriod = int64(5 * time.Minute)

// keysPeriods are the period that runs, and the one before it. They take at most 2.7 KB.
type keysPeriods [2]RefusedKeys

// maxKeyText bounds the text of a key, in bytes.
const maxKeyText = 64

const keysVersion = 1

func refusedKeysKey(cluster string) string { return documentsKey + "/keys/" + cluster }

// fields visits the packed fields, behind a u8 version, as those of Entry.
func (p *keysPeriods) fields(c *codec) {
	for i := range p {
		k := &p[i]
		number(c, &k.Since)
		number(c, &k.Last)
		c.varint(&k.Total)
		entries := k.Keys.Keys()
		count(c, &entries)
		for j := range entries {
			e := &entries[j]
			word(c, &e.Key)
			whole(c, &e.Count)
			whole(c, &e.Over)
			text(c, &e.Text)
			if !c.writing {
				k.Keys.Put(*e)
			}
		}
	}
}

// word packs 8 bytes, little endian.
func word(c *codec, value *uint64) {
	if c.writing {
		c.packed = binary.LittleEndian.AppendUint64(c.packed, *value)
		return
	}
	if b := c.take(8); b != nil {
		*value = binary.LittleEndian.Uint64(b)
	}
}

func whole(c *codec, value *uint32) {
	n := uint64(*value)
	c.varint(&n)
	*value = uint32(n)
}

// AppendTo implements sharedstate.Packed.
func (p *keysPeriods) AppendTo(b []byte) []byte {
	c := codec{packed: append(b, keysVersion), writing: true}
	p.fields(&c)
	return c.packed
}

// Unpack implements sharedstate.Packed.
func (p *keysPeriods) Unpack(b []byte) (ok bool) {
	*p = keysPeriods{}
	if len(b) == 0 || b[0] != keysVersion {
		return false
	}
	c := codec{packed: b[1:]}
	p.fields(&c)
	if ok = !c.broken && len(c.packed) == 0; !ok {
		*p = keysPeriods{}
	}
	return ok
}

// NoteRefusedKeys adds what a worker has counted. Texts are cut to 64 bytes.
func NoteRefusedKeys(store sharedstate.Store, cluster string, more *RefusedKeys) error {
	keys := more.Keys.Keys()
	for i := range keys {
		keys[i].Text = shortKey(keys[i].Text)
	}
	var periods keysPeriods
	_, err := sharedstate.NewCell(store, refusedKeysKey(cluster), &periods).Update(func() bool {
		switch now := &periods[0]; {
		case now.Since == 0 || more.Since-now.Since >= 2*keysPeriod || more.Since < now.Since-keysPeriod: // or of another clock
			periods = keysPeriods{}
		case more.Since-now.Since >= keysPeriod:
			periods[1], periods[0] = periods[0], RefusedKeys{}
		}
		periods[0].merge(more)
		return true
	})
	return err
}

// shortKey cuts a text, between two characters.
func shortKey(s string) string {
	if len(s) <= maxKeyText {
		return s
	}
	end := maxKeyText - len("…")
	for end > 0 && s[end]&0xc0 == 0x80 { // in a character of UTF-8
		end--
	}
	return s[:end] + "…"
}

func (k *RefusedKeys) merge(more *RefusedKeys) {
	if more.Since == 0 {
		return
	}
	if k.Since == 0 || more.Since < k.Since {
		k.Since = more.Since
	}
	k.Last = max(k.Last, more.Last)
	k.Total += more.Total
	k.Keys.Merge(&more.Keys)
}

// ReadRefusedKeys reads them, the most frequent first.
func ReadRefusedKeys(store sharedstate.Store, cluster string) (k RefusedKeys, err error) {
	var periods keysPeriods
	if _, err = sharedstate.NewCell(store, refusedKeysKey(cluster), &periods).Load(); err != nil {
		return k, err
	}
	k = periods[0]
	k.merge(&periods[1])
	return k, nil
}

// forgetRefusedKeys begins anew.
func forgetRefusedKeys(store sharedstate.Store, cluster string) error {
	var periods keysPeriods
	_, err := sharedstate.NewCell(store, refusedKeysKey(cluster), &periods).Update(func() (store bool) {
		store = periods[0].Since != 0
		periods = keysPeriods{}
		return store
	})
	return err
}
