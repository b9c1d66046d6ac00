package redis

import (
	"strconv"
	"strings"
)

// keyVersion is in the names of all keys: proxies whose scripts keep other records count apart.
const keyVersion = "2"

// Place is where a limit is kept in Redis: the names of its keys. All keys of a cluster have one hash tag, so that
// Redis Cluster keeps them in one slot:
//
//	weir:{aws_pricing}:2:p                      the live proxies
//	weir:{aws_pricing}:2:v                      the configurations of the cluster's limit
//	weir:{aws_pricing}:2:RECORD:e :n :s         a configuration's record: entries, counts, state
//	weir:{aws_pricing}:2:kv                     the configurations of the cluster's limit by key
//	weir:{aws_pricing}:2:k                      the keys that have live records
//	weir:{aws_pricing}:2:k/KEY:RECORD:e …       a configuration's record of one key
//	weir:{aws_pricing}:2:o:RECORD:e …           the record that overflowing keys share
//
// RECORD is the limit's numbers, as lua/configurations.lua says.
type Place struct {
	tag     string
	base    string // what is before the record's name
	views   string // the key of the configurations
	key     string
	maxKeys int64 // 0: not one key's
}

// NewPlace is the place of a cluster's limit that is not counted by key.
func NewPlace(prefix, cluster string) *Place {
	tag := hashTag(prefix, cluster)
	return &Place{tag: tag, base: tag, views: "v", key: "-"}
}

// NewShardPlace is the place of the part i, from 0 on, of a cluster's limit that is split into n. The slots of the parts are
// spread evenly over those of a Redis Cluster, whose masters usually have ranges of equal size.
func NewShardPlace(prefix, cluster string, i, n int) *Place {
	if n == 1 {
		return NewPlace(prefix, cluster)
	}
	for more := 0; ; more++ { // until the slot is in the part's range: n tries on average
		name := escaped(cluster) + "%part" + strconv.Itoa(i) + "of" + strconv.Itoa(n) + "." + strconv.Itoa(more)
		if int(slot(name))*n/slots == i {
			tag := escaped(prefix) + "{" + name + "}:" + keyVersion + ":"
			return &Place{tag: tag, base: tag, views: "v", key: "-"}
		}
	}
}

const slots = 16384

// slot is that of a hash tag: CRC-16/XMODEM, modulo the number of slots (Redis Cluster specification, "Key distribution
// model").
func slot(tag string) uint16 {
	var crc uint16
	for i := range len(tag) {
		crc ^= uint16(tag[i]) << 8
		for range 8 {
			if crc&0x8000 != 0 {
				crc = crc<<1 ^ 0x1021
			} else {
				crc <<= 1
			}
		}
	}
	return crc % slots
}

// NewKeyedPlace is the place of one key's limit. At most maxKeys (at least 1) keys have records of their own at a time.
// key is any short text that is the same in every proxy, such as the hexadecimal digits of a hash.
func NewKeyedPlace(prefix, cluster, key string, maxKeys int) *Place {
	tag := hashTag(prefix, cluster)
	return &Place{tag: tag, base: tag + "k/" + key + ":", views: "kv", key: key, maxKeys: int64(max(maxKeys, 1))}
}

// NewOverflowPlace is the place of the limit that a cluster's overflowing keys share.
func NewOverflowPlace(prefix, cluster string) *Place {
	tag := hashTag(prefix, cluster)
	return &Place{tag: tag, base: tag + "o:", views: "kv", key: "-"}
}

// hashTag is the start of the names of a cluster's keys. A hash tag is the text between the first brace and the next
// closing one (Redis Cluster specification, "Hash tags"), so other braces are escaped.
func hashTag(prefix, cluster string) string {
	if cluster == "" {
		cluster = "%"
	}
	return escaped(prefix) + "{" + escaped(cluster) + "}:" + keyVersion + ":"
}

// escaped is text without braces. (strings.NewReplacer is 25 KB of the Wasm module.)
func escaped(text string) string {
	text = strings.ReplaceAll(text, "%", "%25")
	return strings.ReplaceAll(strings.ReplaceAll(text, "{", "%7B"), "}", "%7D")
}

// addKeys adds the keys of a call for one limit.
func (l *Limit) addKeys(c *Command, p *Place) {
	if p.maxKeys > 0 {
		c.Int(9)
	} else {
		c.Int(5)
	}
	c.Join(p.tag, "p")
	c.Join(p.tag, p.views)
	l.addRecord(c, p.base, "")
	if p.maxKeys > 0 {
		c.Join(p.tag, "k")
		l.addRecord(c, p.tag, "o:")
	}
}

func (l *Limit) addRecord(c *Command, base, more string) {
	c.Join(base, more, l.record, ":e")
	c.Join(base, more, l.record, ":n")
	c.Join(base, more, l.record, l.state)
}

// Reset makes c the command that forgets a cluster's limits, by key and not, of all configurations. Its result is the
// number of keys that Redis had for them. Leases that are out stay with their holders.
func (l *Limit) Reset(c *Command, p *Place, source bool) {
	c.script(&resetScript, source)
	c.Int(4)
	c.Join(p.tag, "p")
	c.Join(p.tag, "v")
	c.Join(p.tag, "kv")
	c.Join(p.tag, "k")
	c.Text(p.tag)
	c.Text(l.record)
	c.Join(l.record, l.state)
	c.Int(0) // Webdis needs the last word to be without a dot
}
