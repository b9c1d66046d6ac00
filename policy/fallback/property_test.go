package fallback

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// keyOf is what a key represents: the list of key headers, and the values of each that the request has.
func keyOf(names []string, h pairs) string {
	of := map[string][]string{}
	for _, p := range h {
		if inEveryKey.has(p[0]) || slices.Contains(names, p[0]) {
			of[p[0]] = append(of[p[0]], p[1])
		}
	}
	sorted := slices.Clone(names)
	slices.Sort(sorted)
	return fmt.Sprintf("%q %q", slices.Compact(sorted), of) // fmt sorts a map's keys
}

func TestKeysAreOneWhereWhatTheyStandForIs(t *testing.T) {
	// Few names, and values out of the bytes that a key itself is made of, so that parts that run together do meet.
	names := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "ab", "x-forwarded-host"}), 0, 3)
	value := rapid.StringOfN(rapid.SampledFrom([]rune{'a', 'b', 'c', 'n', 'v', 0, 1, 2, ','}), 0, 12, -1)
	header := rapid.Custom(func(t *rapid.T) [2]string {
		return [2]string{rapid.SampledFrom([]string{"a", "b", "ab", ":path", ":authority", "x-forwarded-host", "x-other"}).Draw(t, "name"), value.Draw(t, "value")}
	})
	headers := rapid.SliceOfN(header, 0, 5)
	rapid.Check(t, func(t *rapid.T) {
		namesA, a := names.Draw(t, "names"), pairs(headers.Draw(t, "headers"))
		namesB, b := namesA, slices.Clone(a)
		for range rapid.IntRange(0, 2).Draw(t, "changes") { // the other one is near
			switch rapid.IntRange(0, 4).Draw(t, "change") {
			case 0:
				namesB = names.Draw(t, "other names")
			case 1:
				b = append(b, header.Draw(t, "one more"))
			case 2:
				if len(b) > 0 {
					b[rapid.IntRange(0, len(b)-1).Draw(t, "which")] = header.Draw(t, "another")
				}
			case 3:
				b = rapid.Permutation(b).Draw(t, "order")
			case 4:
				if len(b) > 0 {
					b = b[:len(b)-1]
				}
			}
		}
		same := bytes.Equal(keyBytes(rules(namesA...), a), keyBytes(rules(namesB...), b))
		if want := keyOf(namesA, a) == keyOf(namesB, b); same != want {
			t.Fatalf("got same key %v, want %v:\n%q %q\n%q %q", same, want, namesA, a, namesB, b)
		}
	})
}

// randomCase is word in a random mix of cases.
func randomCase(t *rapid.T, word string) string {
	b := []byte(word)
	for i := range b {
		if b[i] >= 'a' && b[i] <= 'z' && rapid.Bool().Draw(t, "upper") {
			b[i] -= 'a' - 'A'
		}
	}
	return string(b)
}

func TestWhatIsPrivateIsNeverStored(t *testing.T) {
	space := rapid.StringOfN(rapid.SampledFrom([]rune(" \t,")), 0, 3, -1)
	harmless := rapid.SampledFrom([]string{
		"public", "max-age=60", "s-maxage=60", "immutable", `ext="a, b"`, `ext="\""`, `ext="\\"`, "stale-if-error=9", "foo", "foo=", "must-understand",
	})
	forbids := rapid.SampledFrom([]string{"private", "no-store", "no-cache", "must-revalidate", "proxy-revalidate"})
	argument := rapid.SampledFrom([]string{"", "=x", "=", `="x"`, `="a, b"`, `="\""`, ` = "x"`})
	rapid.Check(t, func(t *rapid.T) {
		members := rapid.SliceOfN(harmless, 0, 4).Draw(t, "harmless")
		bad := randomCase(t, forbids.Draw(t, "forbids")) + argument.Draw(t, "argument")
		members = slices.Insert(members, rapid.IntRange(0, len(members)).Draw(t, "where"), bad)
		h := answer()
		line := ""
		for _, m := range members {
			line += space.Draw(t, "before") + m + space.Draw(t, "after")
			if rapid.Bool().Draw(t, "a header of its own") {
				h, line = append(h, [2]string{"cache-control", line}), ""
			} else {
				line += ","
			}
		}
		h = append(h, [2]string{"cache-control", line})
		h = rapid.Permutation(h).Draw(t, "order")
		keyed := rapid.SampledFrom([][]string{nil, {"authorization", "cookie"}}).Draw(t, "cache_key_headers")
		if a, why := rules(keyed...).Answer(h, 200, noon, 0); why == NoObstacle {
			t.Fatalf("%q: got stored as %+v, want not stored", h, a)
		}
	})
}

// A request with a credential is neither answered from the cache nor stored, wherever the header is.
func TestWhoAsksIsNeverServed(t *testing.T) {
	words := []string{
		"authorization", "cookie", "proxy-authorization", "x-original-url", "x-http-method-override", "forwarded",
	}
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.SampledFrom(words).Draw(t, "name")
		h := append(get("accept-language", "de", "cache-control", "max-age=0"), [2]string{name, rapid.String().Draw(t, "value")})
		h = rapid.Permutation(h).Draw(t, "order")
		others := slices.DeleteFunc(slices.Clone(words), func(w string) bool { return w == name })
		if q := rules(others...).Request(h, true); q.Lookup || q.Store {
			t.Fatalf("%q: got %+v, want no part in the cache", h, q)
		}
		if q := rules(name).Request(h, true); !q.Lookup || !q.Store {
			t.Fatalf("%q: got %+v with the header in the key, want Lookup and Store", h, q)
		}
	})
}

// The older an answer, the worse its source, within the bound of the policy.
func TestServingNeverGetsBetterWithAge(t *testing.T) {
	rank := map[Source]int{FromCache: 0, FromStaleCache: 1, FromError: 2}
	rapid.Check(t, func(t *rapid.T) {
		r := rules()
		lifetime := rapid.OneOf(rapid.Uint32(), rapid.Uint32Range(0, 4000), rapid.Just(uint32(NoSeconds))).Draw(t, "lifetime")
		staleIf := rapid.OneOf(rapid.Uint32(), rapid.Uint32Range(0, 4000), rapid.Just(uint32(NoSeconds))).Draw(t, "stale-if-error")
		young := rapid.Int64Range(0, 5000e9).Draw(t, "age")
		old := young + rapid.Int64Range(0, 5000e9).Draw(t, "later")
		a, b := r.Serve(young, lifetime, staleIf), r.Serve(old, lifetime, staleIf)
		if rank[a.Source] > rank[b.Source] {
			t.Fatalf("got %v at %d and %v at %d, want the older no better", a.Source, young, b.Source, old)
		}
		if b.Source != FromError && old > r.staleness || b.Source == FromCache && (old > r.ttl || b.TTL < 0) {
			t.Fatalf("got %+v at %d, want nothing beyond the bound", b, old)
		}
		if b.Source == FromStaleCache && b.TTL > 0 {
			t.Fatalf("stale: got TTL %d, want at most 0", b.TTL)
		}
	})
}

func TestCodingsOfAListInAnyOrder(t *testing.T) {
	element := rapid.SampledFrom([]string{"gzip", "br;q=0", "zstd;q=0.3", "identity;q=0", "*", "*;q=0", "deflate", "gzip;q=0", "bad;q", ""})
	rapid.Check(t, func(t *rapid.T) {
		list := rapid.SliceOfN(element, 0, 5).Draw(t, "list")
		shuffled := rapid.Permutation(list).Draw(t, "shuffled")
		var whole, apart acceptance
		whole.add(strings.Join(list, " ,\t"))
		for _, e := range shuffled {
			apart.add(e)
		}
		got := whole.codings()
		if got != apart.codings() {
			t.Fatalf("%q: got %06b, but %06b for %q, want the same", list, got, apart.codings(), shuffled)
		}
		for _, c := range codingNames {
			if slices.Contains(list, c.name+";q=0") && got&c.coding != 0 {
				t.Fatalf("%q: got the refused %s accepted, want refused", list, c.name)
			}
		}
	})
}
