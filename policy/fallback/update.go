package fallback

import (
	"strings"

	"github.com/weir-mesh/weir/policy/header"
)

// Confirms reports whether a 304 with these headers says that a stored answer is what the resource is now (RFC 9111, section
// 4.3.4): the entity tags are the same, or the last-modified where the 304 has no tag. A strong tag confirms no answer with a weak
// one, which may be of another that is only equivalent.
func Confirms(notModified, stored Headers) bool {
	if tag := header.First(notModified, "etag"); tag != "" {
		had := header.First(stored, "etag")
		return sameTag(tag, had) && (isWeak(tag) || !isWeak(had))
	}
	modified := header.First(notModified, "last-modified")
	return modified != "" && modified == header.First(stored, "last-modified")
}

// SameValidators reports whether an answer to HEAD has the validators of a stored answer to GET. One that either lacks says
// nothing.
func SameValidators(head, stored Headers) bool {
	tag, had := header.First(head, "etag"), header.First(stored, "etag")
	if tag != "" && had != "" && !sameTag(tag, had) {
		return false
	}
	modified, was := header.First(head, "last-modified"), header.First(stored, "last-modified")
	return modified == "" || was == "" || modified == was
}

// sameTag compares two entity tags weakly: those of one path and variant, where the later one says that nothing changed.
func sameTag(a, b string) bool {
	x, rest, ok := nextETag(trim(a))
	y, more, also := nextETag(trim(b))
	return ok && also && rest == "" && more == "" && x == y
}

func isWeak(tag string) bool { return strings.HasPrefix(trim(tag), "W/") }

// Updated are the headers of a stored answer after a later one has confirmed it (RFC 9111, section 3.2): the later ones, and
// those stored that it does not have. What describes the stored body stays. The stored date goes: it is of then.
func Updated(newer, stored Headers) Headers { return updated{newer, stored} }

type updated struct{ newer, stored Headers }

// All implements Headers.
func (u updated) All(yield func(name, value string) bool) {
	more := true
	u.newer.All(func(name, value string) bool {
		more = describesBody(name) || yield(name, value)
		return more
	})
	if !more {
		return
	}
	u.stored.All(func(name, value string) bool {
		if name == "date" || !describesBody(name) && has(u.newer, name) {
			return true
		}
		return yield(name, value)
	})
}

// describesBody reports whether a header tells how to read the body that it came with.
func describesBody(name string) bool {
	switch name {
	case ":status", "content-encoding", "content-type", "content-length", "content-range", "transfer-encoding":
		return true
	}
	return false
}

func has(h Headers, want string) (found bool) {
	h.All(func(name, _ string) bool {
		found = name == want
		return !found
	})
	return found
}
