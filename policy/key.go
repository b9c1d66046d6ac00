package policy

import (
	"slices"
	"strconv"
	"strings"
)

// decodeKey reads `key`: client_ip, path, method, or an object of one entry, {header: NAME} and the like.
func decodeKey(s *section) []KeyPart {
	const mostParts = 8
	const words = "{header: NAME}, {query: NAME}, {cookie: NAME}, client_ip, {client_ip: {}}, path, method"
	items, written := s.list("key", words, "[]")
	if !written {
		return nil
	}
	if len(items) > mostParts {
		s.mistake("key", "must have at most "+strconv.Itoa(mostParts)+" entries, got "+strconv.Itoa(len(items)))
		return nil
	}
	var parts []KeyPart
	for _, it := range items {
		part, ok := decodeKeyPart(s.d, it)
		switch {
		case !ok:
		case slices.Contains(parts, part):
			s.d.mistake(it.path, part.String()+" is listed twice, remove one")
		default:
			parts = append(parts, part)
		}
	}
	return parts
}

// keyWords are the words of `key`, by KeyKind. The first three need a name; client_ip is a word or an object.
var keyWords = [...]string{"header", "query", "cookie", "client_ip", "path", "method"}

func decodeKeyPart(d *decoder, it item) (KeyPart, bool) {
	named, plain := keyWords[:KeyClientIP], keyWords[KeyClientIP:]
	v := it.value
	switch v.kind {
	case text:
		if i := slices.Index(plain, v.text); i >= 0 {
			return KeyPart{Kind: KeyClientIP + KeyKind(i)}, true
		}
		if slices.Contains(named, v.text) {
			d.mistake(it.path, v.text+" needs a name, write {"+v.text+": NAME}")
			return KeyPart{}, false
		}
		d.mistake(it.path, "unknown value "+quote(v.text)+", "+suggestion(v.text, plain))
		return KeyPart{}, false
	case object:
		objects := keyWords[:KeyClientIP+1]
		if len(v.members) != 1 {
			d.mistake(it.path, "must have exactly one of "+strings.Join(objects, ", ")+", got "+strconv.Itoa(len(v.members))+" keys")
			return KeyPart{}, false
		}
		return decodeObjectPart(d, it.path, &v.members[0], objects)
	default:
		d.mistake(it.path, "must be a string or an object, got "+v.kind.String())
		return KeyPart{}, false
	}
}

func decodeObjectPart(d *decoder, path string, m *member, words []string) (KeyPart, bool) {
	path = memberPath(path, m.name)
	i := slices.Index(words, m.name)
	switch {
	case i < 0:
		d.mistake(path, "unknown key, "+suggestion(m.name, words))
		return KeyPart{}, false
	case m.value.broken:
		return KeyPart{}, false
	case KeyKind(i) == KeyClientIP:
		return decodeClientIP(d.section(path, &m.value))
	case m.value.kind != text:
		d.mistake(path, "must be a string, got "+m.value.kind.String())
		return KeyPart{}, false
	}
	part := KeyPart{Kind: KeyKind(i), Name: m.value.text}
	problem := ""
	switch {
	case part.Kind == KeyHeader:
		part.Name, problem = headerName(part.Name)
	case part.Kind == KeyCookie && !token(part.Name):
		problem = "must be a cookie name, got " + quote(part.Name)
	case part.Name == "" || len(part.Name) > maxName || hasControl(part.Name):
		problem = "must be the name of a query parameter, got " + quote(part.Name)
	}
	if problem != "" {
		d.mistake(path, problem)
	}
	return part, problem == ""
}

// decodeClientIP reads {client_ip: {…}}.
func decodeClientIP(s *section) (KeyPart, bool) {
	part := KeyPart{
		Kind:       KeyClientIP,
		IPv4Prefix: uint8(s.whole("ipv4_prefix", 32, 1, 32)),
		IPv6Prefix: uint8(s.whole("ipv6_prefix", 64, 1, 128)),
	}
	s.end()
	return part, s.clean()
}

// String writes a part as messages show it: `path`, `header x-user`, `client_ip with prefixes of 24 and 64 bits`.
func (p KeyPart) String() string {
	switch {
	case p.IPv4Prefix > 0:
		return "client_ip with prefixes of " + strconv.Itoa(int(p.IPv4Prefix)) + " and " + strconv.Itoa(int(p.IPv6Prefix)) + " bits"
	case p.Name == "":
		return keyWords[p.Kind]
	}
	return keyWords[p.Kind] + " " + p.Name
}
