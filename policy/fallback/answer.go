package fallback

import (
	"math"
	"strings"

	"github.com/weir-mesh/weir/policy/ascii"
	"github.com/weir-mesh/weir/policy/decimal"
	"github.com/weir-mesh/weir/policy/httpdate"
)

// Answer is what the cache keeps of an upstream's answer besides its headers and its body. Times are in seconds;
// NoSeconds if not stated.
type Answer struct {
	Age          uint32  // on arrival (RFC 9111, section 4.2.3)
	Lifetime     uint32  // of freshness, as stated (section 4.2.1)
	StaleIfError uint32  // beyond that (RFC 5861, section 4); 0 if s-maxage forbids stale answers
	Coding       Codings // exactly one; Identity if it has none
	Public       bool    // upstream says that it may be shared: public or s-maxage
	Length       int64   // content-length, -1 if absent. For HEAD it is that of the answer to a GET
	// Delimited: the headers say where the body ends, by content-length or chunked. An HTTP/1 body without either ends
	// with the connection, and a proxy can't distinguish a complete one from a truncated one (RFC 9112, section 8).
	Delimited bool
}

type answerWalk struct {
	Answer
	why     Obstacle
	wall    int64  // this machine's clock, seconds since 1970
	age     uint32 // the Age header
	date    int64  // seconds since 1970
	dated   bool
	pragma  bool // no-cache
	control bool // there is a cache-control
	public  bool
	coded   bool // there is a content-encoding
	// How often each lifetime is stated, and its last value. An answer with one that is stated twice or malformed is
	// stale at once (RFC 9111, section 4.2.1).
	sMaxAge, maxAge, expires stated
	mustUnderstand           bool // must-understand
}

// stated is a number that an answer should state once.
type stated struct {
	times int
	value int64
}

func (s *stated) add(value int64, ok bool) {
	if !ok {
		s.times++ // as if it were stated twice
	}
	s.times++
	s.value = value
}

// Answer decides whether an answer may be stored, and returns what is kept of it, or why it may not be. wall is the time in seconds since
// 1970 by this machine's clock, took the nanoseconds between the request and the answer's headers.
func (r *CacheRules) Answer(h Headers, status int, wall, took int64) (a Answer, why Obstacle) {
	if status < 200 || status > 299 || status == 206 || status == 226 { // partial (RFC 9110, section 15.3.7), a delta (RFC 3229)
		return Answer{}, StatusNotKept
	}
	w := &r.answer
	*w = answerWalk{Answer: Answer{Lifetime: NoSeconds, StaleIfError: NoSeconds, Coding: Identity, Length: -1}, wall: wall}
	h.All(r.seeAnswer)
	if w.why == NoObstacle && w.pragma && !w.control {
		w.why = NoCache
	}
	if w.why != NoObstacle {
		return Answer{}, w.why
	}
	switch status {
	case 200, 203, 204:
	default: // stored only if the answer allows it explicitly (RFC 9111, section 3)
		explicit := w.public || w.sMaxAge.times+w.maxAge.times+w.expires.times > 0
		if !explicit || w.mustUnderstand {
			return Answer{}, StatusNotKept
		}
	}
	w.Lifetime = w.lifetime(wall)
	if w.sMaxAge.times > 0 && w.StaleIfError == NoSeconds {
		w.StaleIfError = 0 // s-maxage is proxy-revalidate as well (RFC 9111, section 5.2.2.10)
	}
	w.Age = w.initialAge(wall, took)
	w.Public = w.isPublic()
	if r.Serve(int64(w.Age)*1e9, w.Lifetime, w.StaleIfError).Source == FromError {
		return Answer{}, Expired
	}
	return w.Answer, NoObstacle
}

// isPublic reports whether cache-control allows a shared cache to keep an answer also for a request with credentials (RFC
// 9111, section 3.5); must-revalidate, which does so too, is not kept here.
func (w *answerWalk) isPublic() bool { return w.public || w.sMaxAge.times > 0 }

// lifetime is freshness_lifetime of RFC 9111, section 4.2.1.
func (w *answerWalk) lifetime(wall int64) uint32 {
	for _, s := range [...]*stated{&w.sMaxAge, &w.maxAge} {
		switch s.times {
		case 0:
			continue
		case 1:
			return uint32(s.value)
		}
		return 0
	}
	switch w.expires.times {
	case 0:
		return NoSeconds
	case 1:
		from := wall
		if w.dated {
			from = w.date
		}
		return clampSeconds(w.expires.value - from)
	}
	return 0
}

// initialAge is corrected_initial_age of RFC 9111, section 4.2.3. A Date in the future, or none, adds no age.
func (w *answerWalk) initialAge(wall, took int64) uint32 {
	age := int64(w.age) + max(took, 0)/1e9
	if w.dated {
		age = max(age, wall-w.date)
	}
	return clampSeconds(age)
}

func clampSeconds(n int64) uint32 { return uint32(min(max(n, 0), maxSeconds)) }

func (r *CacheRules) stepAnswer(name, value string) bool {
	w := &r.answer
	w.why = r.obstacleOf(name, value)
	return w.why == NoObstacle
}

// obstacleOf reads one header, and says why an answer with it may not be stored.
func (r *CacheRules) obstacleOf(name, value string) Obstacle {
	w := &r.answer
	switch len(name) { // TinyGo compares a string with each case by a call
	case len("age"): // and of via
		switch name {
		case "age":
			first, _, _ := strings.Cut(value, ",") // RFC 9111, section 5.1
			if age, ok := readSeconds(trim(first)); ok {
				w.age = max(w.age, age)
			}
			return NoObstacle
		case "via":
			return NoObstacle
		}
	case len("date"): // and of vary, etag
		switch name {
		case "date":
			if at, ok := httpdate.Parse(trim(value), w.wall); ok && !w.dated {
				w.date, w.dated = at, true
			}
			return NoObstacle
		case "vary":
			return unless(all(value, r.varies), VaryBy)
		case "etag":
			return NoObstacle
		}
	case len("pragma"): // and of server
		switch name {
		case "pragma": // ignored if there is a cache-control (RFC 9111, section 5.4)
			w.pragma = w.pragma || strings.Contains(ascii.Lower(value), "no-cache")
			return NoObstacle
		case "server":
			return NoObstacle
		}
	case len("expires"): // and of :status
		switch name {
		case "expires":
			w.expires.add(httpdate.Parse(trim(value), w.wall))
			return NoObstacle
		case ":status":
			return NoObstacle
		}
	case len("connection"): // and of set-cookie
		switch name {
		case "connection":
			return unless(all(value, isConnectionOption), ResponseHeader)
		case "set-cookie":
			return SetCookie
		}
	case len("set-cookie2"): // and of grpc-status
		switch name {
		case "set-cookie2":
			return SetCookie
		case "grpc-status":
			return ResponseHeader
		}
	case len("content-type"):
		if name == "content-type" {
			return unless(!isPartial(value), ContentType)
		}
	case len("cache-control"): // and of content-range, last-modified, accept-ranges
		switch name {
		case "cache-control":
			w.control = true
			return w.readControl(value)
		case "content-range":
			return ContentType
		case "last-modified", "accept-ranges":
			return NoObstacle
		}
	case len("content-length"):
		if name == "content-length" {
			return unless(w.readLength(value), UnknownLength)
		}
	case len("clear-site-data"):
		if name == "clear-site-data" {
			return ResponseHeader
		}
	case len("content-encoding"): // and of www-authenticate
		switch name {
		case "content-encoding":
			coding, known := CodingOf(value)
			again := w.coded
			w.Coding, w.coded = coding, true
			return unless(known && !again, Coding)
		case "www-authenticate":
			return ResponseHeader
		}
	case len("transfer-encoding"): // and of cdn-cache-control, surrogate-control
		switch name {
		case "transfer-encoding":
			w.Delimited = true
			return unless(ascii.EqualFold(trim(value), "chunked"), UnknownLength)
		case "cdn-cache-control", "surrogate-control": // for other caches, but private answers must not be stored here either
			return new(answerWalk).readControl(value)
		}
	case len("proxy-authenticate"):
		if name == "proxy-authenticate" {
			return ResponseHeader
		}
	case len("authentication-info"):
		if name == "authentication-info" {
			return ResponseHeader
		}
	case len("proxy-authentication-info"):
		if name == "proxy-authentication-info" {
			return ResponseHeader
		}
	case len("access-control-allow-origin"):
		if name == "access-control-allow-origin" {
			return unless(trim(value) == "*" || r.keyed("origin"), CORSOrigin)
		}
	case len("x-envoy-upstream-service-time"):
		if name == "x-envoy-upstream-service-time" { // of each response: it needs no look at its five words
			return NoObstacle
		}
	}
	return unless(!anyWord(name, isSecret), ResponseHeader) // x-csrf-token, x-session-id
}

func unless(allowed bool, o Obstacle) Obstacle {
	if allowed {
		return NoObstacle
	}
	return o
}

// readControl reads one cache-control header, and says why it does not allow the answer to be stored. Directives count also
// in the form private="set-cookie", which names headers.
func (w *answerWalk) readControl(value string) Obstacle {
	for {
		d, rest, ok := nextDirective(value)
		if !ok {
			return BadCacheControl
		}
		switch {
		case d.name == "":
			return NoObstacle
		case d.is("no-store"):
			return NoStore
		case d.is("private"):
			return Private
		case d.is("no-cache"):
			return NoCache
		case d.is("must-revalidate"), d.is("proxy-revalidate"):
			return MustRevalidate
		case d.is("public"):
			w.public = true
		case d.is("must-understand"):
			w.mustUnderstand = true
		case d.is("s-maxage"):
			n, ok := d.seconds()
			w.sMaxAge.add(int64(n), ok)
		case d.is("max-age"):
			n, ok := d.seconds()
			w.maxAge.add(int64(n), ok)
		case d.is("stale-if-error"):
			n, _ := d.seconds() // malformed: 0; of several the smallest
			w.StaleIfError = min(w.StaleIfError, n)
		}
		value = rest
	}
}

// varies reports whether an answer may depend on a request header: it is in the key, or is accept-encoding, for which
// there are variants.
func (r *CacheRules) varies(by string) bool {
	if ascii.EqualFold(by, "accept-encoding") {
		return true
	}
	by = dashed(ascii.Lower(by))
	return r.keyed(by) || inEveryKey.has(by)
}

// isConnectionOption reports whether an option of the header connection does not affect what is stored. An answer that
// names another of its headers there is not stored.
func isConnectionOption(option string) bool {
	switch ascii.Lower(option) {
	case "close", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade":
		return true
	}
	return false
}

// isPartial reports whether a content type is of a partial representation or an endless one; or of gRPC, whose status
// is in the trailers.
func isPartial(contentType string) bool {
	contentType = trim(contentType)
	return derivesFromGRPC(contentType) || hasPrefixFold(contentType, "multipart/byteranges") ||
		hasPrefixFold(contentType, "multipart/x-mixed-replace") || hasPrefixFold(contentType, "text/event-stream")
}

// readLength reads a content-length. Two that differ are refused (RFC 9112, section 6.3).
func (w *answerWalk) readLength(value string) bool {
	n, ok := decimal.Whole(trim(value))
	if !ok || n > math.MaxInt64 || w.Length >= 0 && w.Length != int64(n) {
		return false
	}
	w.Length, w.Delimited = int64(n), true
	return true
}

// all reports whether all members of a list pass. Empty ones are skipped.
func all(list string, pass func(member string) bool) bool {
	for list != "" {
		var member string
		member, list, _ = strings.Cut(list, ",")
		member = trim(member)
		if member != "" && !pass(member) {
			return false
		}
	}
	return true
}
