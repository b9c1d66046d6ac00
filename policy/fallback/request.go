package fallback

import (
	"strings"

	"github.com/weir-mesh/weir/policy/ascii"
)

// Request is what the cache keeps of a running request.
type Request struct {
	Lookup      bool // it may be answered from the cache
	Store       bool // its answer may be stored
	Head        bool
	PublicOnly  bool     // a header may say who asks: only answers that upstream calls public are served and stored
	Obstacle    Obstacle // where Lookup or Store is not set: why; NoObstacle for other methods, upgrades and gRPC
	Codings     Codings  // the accepted ones
	IfNoneMatch string   // all of them, joined by commas; "" also if they are longer than maxIfNoneMatch
}

// maxIfNoneMatch is how much of if-none-match is kept while a request runs.
const maxIfNoneMatch = 1024

type requestWalk struct {
	Request
	known   bool // GET or HEAD
	accepts acceptance
}

// Request reads a request's headers, and keeps those of its key for AppendKey; ended means that no body follows. If neither
// Lookup nor Store is set, the other fields have no meaning.
//
// no-cache, max-age and the like in a request are preferences (RFC 9111, section 5.2.1), and an answer from the cache
// is better than none. Range may be ignored (RFC 9110, section 14.2).
func (r *CacheRules) Request(h Headers, ended bool) Request {
	if !ended { // the body is not part of the key
		return Request{Obstacle: RequestBody}
	}
	w := &r.request
	*w = requestWalk{Request: Request{Lookup: true, Store: true}}
	r.parts = r.parts[:0]
	h.All(r.seeRequest)
	if !w.known {
		return Request{Obstacle: w.Obstacle}
	}
	w.Codings = w.accepts.codings()
	return w.Request
}

func (r *CacheRules) stepRequest(name, value string) bool {
	w := &r.request
	class := dashed(name)
	inKey := inEveryKey.has(class) || r.keyed(class)
	if inKey {
		r.parts = append(r.parts, part{class, name, value})
	}
	switch len(name) { // TinyGo compares a string with each case by a call
	case len(":method"): // and of upgrade
		switch name {
		case ":method":
			w.Head = value == "HEAD"
			w.known = w.Head || value == "GET"
			return w.known
		case "upgrade":
			return w.refuse(NoObstacle)
		}
	case len("if-match"):
		if name == "if-match" { // only upstream has the current state (RFC 9110, section 13.1.1)
			w.Lookup, w.Obstacle = false, Condition
			return true
		}
	case len(":protocol"):
		if name == ":protocol" {
			return w.refuse(NoObstacle)
		}
	case len("content-type"):
		if name == "content-type" {
			return !derivesFromGRPC(value) || w.refuse(NoObstacle)
		}
	case len("cache-control"): // and of if-none-match
		switch name {
		case "cache-control":
			if !mayStoreRequest(value) {
				w.Store, w.Obstacle = false, RequestNoStore
			}
			return true
		case "if-none-match":
			w.addIfNoneMatch(value)
			return true
		}
	case len("accept-encoding"):
		if name == "accept-encoding" {
			w.accepts.add(value)
			return true
		}
	case len("if-unmodified-since"):
		if name == "if-unmodified-since" {
			w.Lookup, w.Obstacle = false, Condition
			return true
		}
	}
	switch {
	case inKey:
	case rerouting.has(class):
		return w.refuse(Rerouting)
	case credentials.has(class):
		return w.refuse(Credential)
	case !r.shared && !harmless.has(class):
		w.PublicOnly = true
	}
	return true
}

// refuse ends the walk.
func (w *requestWalk) refuse(o Obstacle) bool {
	*w = requestWalk{Request: Request{Obstacle: o}}
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

// mayStoreRequest reads a request's cache-control. It is false for no-store and for a malformed value.
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

// derivesFromGRPC reports whether a content type is application/grpc or derived from it, application/grpc-web included.
func derivesFromGRPC(contentType string) bool {
	return hasPrefixFold(trim(contentType), "application/grpc")
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && ascii.EqualFold(s[:len(prefix)], prefix)
}
