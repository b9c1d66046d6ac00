package redis

import "strings"

// Place is where a limit is kept in Redis: the names of its keys. All keys of a cluster have one hash tag, so that in Redis
// Cluster they are in one slot:
//
//	weir:{aws_pricing}:p                        the proxies that live
//	weir:{aws_pricing}:e :n :s                  the record of the cluster's limit: entries, counts, state
//	weir:{aws_pricing}:k                        with keys: those whose records live
//	weir:{aws_pricing}:k/KEY:e  …:n  …:s        … the record of one
//	weir:{aws_pricing}:o:e :o:n :o:s            … the record that overflowing keys share
type Place struct {
	keys    []string
	key     string
	maxKeys int64
	tag     string
}

// NewPlace is the place of a limit of a cluster as a whole.
func NewPlace(prefix, cluster string) *Place {
	tag := hashTag(prefix, cluster)
	return &Place{tag: tag, key: "-", keys: record([]string{tag + "p"}, tag)}
}

// NewKeyedPlace is the place of one key's limit. At most maxKeys (at least 1) keys have records of their own at a
// time. key is any short text that stands for the key in the same way in every proxy, such as the hexadecimal digits of a
// hash.
func NewKeyedPlace(prefix, cluster, key string, maxKeys int) *Place {
	tag := hashTag(prefix, cluster)
	p := &Place{tag: tag, key: key, maxKeys: int64(max(maxKeys, 1))}
	p.keys = record([]string{tag + "p"}, tag+"k/"+key+":")
	p.keys = record(append(p.keys, tag+"k"), tag+"o:")
	return p
}

func record(keys []string, name string) []string {
	return append(keys, name+"e", name+"n", name+"s")
}

// hashTag is what the names of a cluster's keys begin with. A hash tag is what stands between the first brace and the next
// closing one (Redis Cluster specification, "Hash tags"), so no other braces may stand there.
func hashTag(prefix, cluster string) string {
	plain := strings.NewReplacer("%", "%25", "{", "%7B", "}", "%7D")
	if cluster == "" {
		cluster = "%"
	}
	return plain.Replace(prefix) + "{" + plain.Replace(cluster) + "}:"
}

// Reset makes c the command that forgets a cluster's limit, that of all its keys where the place is a keyed one. It is
// answered by the number of keys that Redis had for it. Leases that are out stay with their holders.
func (p *Place) Reset(c *Command, source bool) {
	c.script(&resetScript, source)
	p.addKeys(c)
	c.Text(p.tag + "k/")
	c.Int(0) // a dialect may want the last word to be a number
}

func (p *Place) addKeys(c *Command) {
	c.Int(int64(len(p.keys)))
	for _, key := range p.keys {
		c.Text(key)
	}
}

// NewOverflowPlace is the place of the limit that a cluster's overflowing keys share.
func NewOverflowPlace(prefix, cluster string) *Place {
	tag := hashTag(prefix, cluster)
	return &Place{tag: tag, key: "-", keys: record([]string{tag + "p"}, tag+"o:")}
}
