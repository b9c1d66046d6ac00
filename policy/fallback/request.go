package fallback

import "strings"

// Request is what the cache wants to know of a request while it runs.
type Request struct {
	Lookup      bool // it may be answered from the cache
	Store       bool // its answer may be stored
	Head        bool
	Codings     Codings // those that it accepts
	IfNoneMatch string  // all of them, with commas between; "" also where they are longer than anyone needs
}

// maxIfNoneMatch is how much of if-none-match is kept while a request runs.
const maxIfNoneMatch = 1024

type requestWalk struct {
	Request
	known   bool // GET or HEAD
	accepts acceptance
}

// Request looks at a request's headers. Ended: no body follows. Where neither Lookup nor Store is said, the rest of it
// means nothing.
//
// What no-cache, max-age and the like say on a request is a preference (RFC 9111, section 5.2.1), and an answer from
// the cache is better than none. Range may be ignored (RFC 9110, section 14.2).
func (r *CacheRules) Request(h Headers, ended bool) Request {
	if !ended {
		return Request{} // what stands in the body is in no key
	}
	w := &r.request
	*w = requestWalk{Request: Request{Lookup: true, Store: true}}
	h.All(r.seeRequest)
	if !w.known {
		return Request{}
	}
	w.Codings = w.accepts.codings()
	return w.Request
}

func (r *CacheRules) stepRequest(name, value string) bool {
	w := &r.request
	switch name {
	case ":method":
		w.Head = value == "HEAD"
		w.known = w.Head || value == "GET"
		return w.known
	case "accept-encoding":
		w.accepts.add(value)
	case "cache-control":
		w.Store = w.Store && mayStoreRequest(value)
	case "if-none-match":
		w.addIfNoneMatch(value)
	case "if-match", "if-unmodified-since":
		// Only upstream knows what is there now (RFC 9110, section 13.1.1).
		w.Lookup = false
	case "upgrade", ":protocol":
		return w.refuse()
	case "content-type":
		if isGRPC(value) {
			return w.refuse()
		}
	default:
		if (steers(name) || tellsWho(name)) && !r.keyed(name) {
			return w.refuse()
		}
	}
	return true
}

// refuse ends the walk.
func (w *requestWalk) refuse() bool {
	*w = requestWalk{}
	return false
}

func (w *requestWalk) addIfNoneMatch(value string) {
	switch {
	case len(w.IfNoneMatch)+len(value) > maxIfNoneMatch:
		w.IfNoneMatch = ""
	case w.IfNoneMatch == "":
		w.IfNoneMatch = strings.Clone(value)
	default:
		w.IfNoneMatch += ", " + value
	}
}

// mayStoreRequest reads a request's cache-control: no-store forbids, and so does what can't be read.
func mayStoreRequest(value string) bool {
	for {
		d, rest, ok := nextDirective(value)
		switch {
		case !ok || d.is("no-store"):
			return false
		case d.name == "":
			return true
		}
		value = rest
	}
}

// isGRPC knows application/grpc and what is derived from it, application/grpc-web too.
func isGRPC(contentType string) bool { return hasPrefixFold(trim(contentType), "application/grpc") }

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}
