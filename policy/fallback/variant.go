package fallback

// Variant tells the answers apart that may be stored under one key: those to GET and those to HEAD, each coded and not.
// It is a few bits for the caller to change the key by.
type Variant uint8

const (
	coded  Variant = 1 << iota // with a content-encoding
	toHead                     // without a body, which the answer to a GET has
)

// The orders in which a request's variants are looked up, by what it accepts.
var (
	variantsOfGet = [4][]Variant{
		nil, {0}, {coded}, {coded, 0},
	}
	variantsOfHead = [4][]Variant{
		nil, {0, toHead}, {coded, toHead | coded}, {coded, 0, toHead | coded, toHead},
	}
)

// Variants are those that may answer a request, in the order in which they are preferred: what is coded first, and to
// HEAD the headers of a GET's answer first. A coded one has still to be asked for its coding, by Accepts.
func (q *Request) Variants() []Variant {
	which := 0
	if q.Codings&Identity != 0 {
		which = 1
	}
	if q.Codings&^Identity != 0 {
		which |= 2
	}
	if q.Head {
		return variantsOfHead[which]
	}
	return variantsOfGet[which]
}

// Variant is the one that a request's answer is stored as.
func (q *Request) Variant(a *Answer) (v Variant) {
	if a.Coding != Identity {
		v |= coded
	}
	if q.Head {
		v |= toHead
	}
	return v
}

// Accepts says whether a request accepts the coding that these headers of an answer tell.
func (q *Request) Accepts(answer Headers) bool {
	coding := Identity
	answer.All(func(name, value string) bool {
		if name == "content-encoding" {
			coding, _ = CodingOf(value) // unknown: in no set
			return false
		}
		return true
	})
	return q.Codings&coding != 0
}
