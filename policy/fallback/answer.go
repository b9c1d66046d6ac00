package fallback

import (
	"strconv"
	"strings"

	"github.com/weir-mesh/weir/policy/httpdate"
)

// Answer is what the cache keeps of an answer beside its headers and its body. Times are in seconds; NoSeconds where
// nothing was stated.
type Answer struct {
	Age          uint32  // when it came (RFC 9111, section 4.2.3)
	Lifetime     uint32  // of freshness, as it stated it (section 4.2.1)
	StaleIfError uint32  // beyond that (RFC 5861, section 4); 0 where s-maxage forbids what is stale
	Coding       Codings // one; Identity where it has none
	Length       int64   // content-length, -1 where there is none. To HEAD it is that of the answer to a GET
	// Delimited says that the headers tell where the body ends: content-length or chunked. An HTTP/1 body without both ends
	// where the connection does, and a proxy can't tell one that is whole from one that was cut off (RFC 9112, section 8).
	Delimited bool
}

type answerWalk struct {
	Answer
	refused bool
	age     uint32 // the Age header
	date    int64  // seconds since 1970
	dated   bool
	pragma  bool // no-cache
	control bool // there is a cache-control
	public  bool
	coded   bool // there is a content-encoding
	// How often a lifetime is stated, and the last: what is stated twice, or can't be read, is stale at once
	// (RFC 9111, section 4.2.1).
	sMaxAge, maxAge, expires stated
	understands              bool // must-understand
}

// stated is a number that an answer should state once.
type stated struct {
	times int
	value int64
}

func (s *stated) add(value int64, ok bool) {
	if !ok {
		s.times++ // as if it were there twice
	}
	s.times++
	s.value = value
}

// Answer says whether an answer may be stored, and what is kept of it. Wall is the time in seconds since 1970 by this
// machine's clock, took the nanoseconds between the request and the answer's headers.
func (r *CacheRules) Answer(h Headers, status int, wall, took int64) (a Answer, storable bool) {
	if status < 200 || status > 299 || status == 206 || status == 226 { // a part (RFC 9110, 15.3.7), a difference (RFC 3229)
		return Answer{}, false
	}
	w := &r.answer
	*w = answerWalk{Answer: Answer{Lifetime: NoSeconds, StaleIfError: NoSeconds, Coding: Identity, Length: -1}}
	h.All(r.seeAnswer)
	if w.refused || w.pragma && !w.control {
		return Answer{}, false
	}
	switch status {
	case 200, 203, 204:
	default: // such an answer is stored only where it says that it may be (RFC 9111, section 3)
		explicit := w.public || w.sMaxAge.times+w.maxAge.times+w.expires.times > 0
		if !explicit || w.understands {
			return Answer{}, false
		}
	}
	w.Lifetime = w.lifetime(wall)
	if w.sMaxAge.times > 0 && w.StaleIfError == NoSeconds {
		w.StaleIfError = 0 // s-maxage is proxy-revalidate as well (RFC 9111, section 5.2.2.10)
	}
	w.Age = w.initialAge(wall, took)
	if r.Serve(int64(w.Age)*1e9, w.Lifetime, w.StaleIfError).Source == FromError {
		return Answer{}, false // too old already
	}
	return w.Answer, true
}

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

// initialAge is corrected_initial_age of RFC 9111, section 4.2.3. A Date in the future, or none, makes nothing older.
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
	w.refused = !r.allows(name, value)
	return !w.refused
}

// allows reads one header, and says whether it is one that an answer may be stored with.
func (r *CacheRules) allows(name, value string) bool {
	w := &r.answer
	switch name {
	case "cache-control":
		w.control = true
		return w.readControl(value)
	case "cdn-cache-control", "surrogate-control": // meant for other caches, but what is private is private
		return new(answerWalk).readControl(value)
	case "pragma": // means nothing beside a cache-control (RFC 9111, section 5.4)
		w.pragma = w.pragma || strings.Contains(strings.ToLower(value), "no-cache")
	case "expires":
		w.expires.add(httpdate.Parse(trim(value)))
	case "date":
		if at, ok := httpdate.Parse(trim(value)); ok && !w.dated {
			w.date, w.dated = at, true
		}
	case "age":
		first, _, _ := strings.Cut(value, ",") // RFC 9111, section 5.1
		if age, ok := readSeconds(trim(first)); ok {
			w.age = max(w.age, age)
		}
	case "vary":
		return all(value, r.varies)
	case "content-encoding":
		coding, known := CodingOf(value)
		again := w.coded
		w.Coding, w.coded = coding, true
		return known && !again
	case "content-length":
		return w.readLength(value)
	case "content-type":
		return !isPiecemeal(value)
	case "transfer-encoding":
		w.Delimited = true
		return strings.EqualFold(trim(value), "chunked")
	case "connection":
		return all(value, isConnectionOption)
	case "access-control-allow-origin":
		return trim(value) == "*" || r.keyed("origin")
	case "set-cookie", "set-cookie2", "content-range", "www-authenticate", "proxy-authenticate", "authentication-info",
		"proxy-authentication-info", "clear-site-data", "grpc-status":
		return false
	case "etag", "last-modified", "accept-ranges", "server", "via", ":status":
	default:
		return !anyWord(name, isSecret) // x-csrf-token, x-session-id
	}
	return true
}

// readControl reads one cache-control header, and says whether it lets the answer be stored.
func (w *answerWalk) readControl(value string) bool {
	for {
		d, rest, ok := nextDirective(value)
		if !ok {
			return false
		}
		switch {
		case d.name == "":
			return true
		case d.is("no-store"), d.is("private"), d.is("no-cache"), d.is("must-revalidate"), d.is("proxy-revalidate"):
			return false // also in the form private="set-cookie", which names headers
		case d.is("public"):
			w.public = true
		case d.is("must-understand"):
			w.understands = true
		case d.is("s-maxage"):
			n, ok := d.seconds()
			w.sMaxAge.add(int64(n), ok)
		case d.is("max-age"):
			n, ok := d.seconds()
			w.maxAge.add(int64(n), ok)
		case d.is("stale-if-error"):
			n, _ := d.seconds() // what can't be read is 0; of several the least
			w.StaleIfError = min(w.StaleIfError, n)
		}
		value = rest
	}
}

// varies says whether an answer may differ by a request header, for it is in the key, or told apart by its coding.
func (r *CacheRules) varies(by string) bool {
	if strings.EqualFold(by, "accept-encoding") {
		return true
	}
	by = strings.ToLower(by)
	return r.keyed(by) || inEveryKey(by)
}

// isConnectionOption knows what may stand in `connection` without a meaning for what is stored. An answer that makes
// another of its headers one of the connection is not stored.
func isConnectionOption(option string) bool {
	switch strings.ToLower(option) {
	case "close", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade":
		return true
	}
	return false
}

// isPiecemeal knows the content types of what is no whole representation, or never ends; and gRPC, whose outcome comes
// in trailers.
func isPiecemeal(contentType string) bool {
	contentType = trim(contentType)
	return isGRPC(contentType) || hasPrefixFold(contentType, "multipart/byteranges") ||
		hasPrefixFold(contentType, "multipart/x-mixed-replace") || hasPrefixFold(contentType, "text/event-stream")
}

// readLength takes a content-length. Two that differ are refused (RFC 9112, section 6.3).
func (w *answerWalk) readLength(value string) bool {
	n, err := strconv.ParseUint(trim(value), 10, 63)
	if err != nil || w.Length >= 0 && w.Length != int64(n) {
		return false
	}
	w.Length, w.Delimited = int64(n), true
	return true
}

// all says whether all members of a list pass. Empty ones are none.
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
