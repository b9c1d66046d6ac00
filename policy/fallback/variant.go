package fallback

// Variant distinguishes the answers that can be stored under one key: those to GET and to HEAD, each with a content
// coding and without. It is a few bits that the caller adds to the key.
type Variant uint8

const (
	coded  Variant = 1 << iota // with a content-encoding
	toHead                     // without the body that the answer to a GET has
)

// Variants is the number of variants: they are 0 to Variants-1.
const Variants = 4

// The orders in which a request's variants are looked up, by what it accepts.
var (
	variantsOfGet = [4][]Variant{
		nil, {0}, {coded}, {coded, 0},
	}
	variantsOfHead = [4][]Variant{
		nil, {0, toHead}, {coded, toHead | coded}, {coded, 0, toHead | coded, toHead},
	}
)

// Variants are those that may answer a request, the preferred first: coded ones, and for HEAD the headers of a GET's
// answer. Whether the coding of a coded one is accepted is checked by Accepts.
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

// Variant is that of the answer to a request.
func (q *Request) Variant(a *Answer) (v Variant) {
	if a.Coding != Identity {
		v |= coded
	}
	if q.Head {
		v |= toHead
	}
	return v
}

// Accepts reports whether a request accepts the content coding in these headers of an answer.
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

// IsPublic reports whether the headers of an answer say that it may be shared: public or s-maxage.
func IsPublic(answer Headers) bool {
	var w answerWalk
	answer.All(func(name, value string) bool {
		if name == "cache-control" {
			w.readControl(value)
		}
		return true
	})
	return w.isPublic()
}
