package redis

import "strings"

// Place is where a limit is kept in Redis: the names of its keys. All keys of a cluster have one hash tag, so that Redis
// Cluster keeps them in one slot:
//
//	weir:{aws_pricing}:p                        the live proxies
//	weir:{aws_pricing}:e :n :s                  the record of the cluster's limit: entries, counts, state
//	weir:{aws_pricing}:k                        of a limit by key: the keys that have a live record
//	weir:{aws_pricing}:k/KEY:e  …:n  …:s        the record of one key
//	weir:{aws_pricing}:o:e :o:n :o:s            the record that overflowing keys share
type Place struct {
	keys    []string
	key     string
	maxKeys int64
	tag     string
}

// NewPlace is the place of a cluster's limit that is not counted by key.
func NewPlace(prefix, cluster string) *Place {
	tag := hashTag(prefix, cluster)
	return &Place{tag: tag, key: "-", keys: record([]string{tag + "p"}, tag)}
}

// NewKeyedPlace is the place of one key's limit. At most maxKeys (at least 1) keys have records of their own at a time. key
// is any short text that is the same in every proxy, such as the hexadecimal digits of a hash.
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

// hashTag is the start of the names of a cluster's keys. A hash tag is the text between the first brace and the next
// closing one (Redis Cluster specification, "Hash tags"), so other braces are escaped.
func hashTag(prefix, cluster string) string {
	plain := strings.NewReplacer("%", "%25", "{", "%7B", "}", "%7D")
	if cluster == "" {
		cluster = "%"
	}
	return plain.Replace(prefix) + "{" + plain.Replace(cluster) + "}:"
}

// Reset makes c the command that forgets a cluster's limit, and that of all its keys where the place is a keyed one. Its
// result is the number of keys that Redis had for the limit. Leases that are out stay with their holders.
func (p *Place) Reset(c *Command, source bool) {
	c.script(&resetScript, source)
	p.addKeys(c)
	c.Text(p.tag + "k/")
	c.Int(0) // Webdis needs the last word to be without a dot
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
