package fallback

import (
	"slices"
	"testing"
)

func TestAcceptEncoding(t *testing.T) {
	for _, tc := range []struct {
		name   string
		values []string
		want   Codings
	}{
		{"none: many clients without it can decode nothing", nil, Identity},
		{"empty", []string{""}, Identity},
		{"blanks and commas", []string{" , ,"}, Identity},
		{"one", []string{"gzip"}, Gzip | Identity},
		{"case", []string{"GZip, BR"}, Gzip | Brotli | Identity},
		{"an alias", []string{"x-gzip"}, Gzip | Identity},
		{"several", []string{"gzip, deflate, br, zstd"}, Gzip | Deflate | Brotli | Zstd | Identity},
		{"several headers", []string{"gzip", "br"}, Gzip | Brotli | Identity},
		{"a weight", []string{"gzip;q=0.5, br ; q=1.000"}, Gzip | Brotli | Identity},
		{"refused", []string{"gzip;q=0, br"}, Brotli | Identity},
		{"refused with digits", []string{"gzip;q=0.000"}, Identity},
		{"refused with Q", []string{"gzip; Q=0"}, Identity},
		{"accepted by a thousandth", []string{"gzip;q=0.001"}, Gzip | Identity},
		{"accepted and refused", []string{"gzip, gzip;q=0"}, Identity},
		{"refused in a later header", []string{"gzip", "gzip;q=0"}, Identity},
		{"refused by its alias", []string{"gzip, x-gzip;q=0"}, Identity},
		{"anything", []string{"*"}, allCodings},
		{"anything but", []string{"*, gzip;q=0"}, allCodings &^ Gzip},
		{"anything but none", []string{"identity;q=0, *"}, allCodings &^ Identity},
		{"identity refused", []string{"gzip, identity;q=0"}, Gzip},
		{"nothing else", []string{"gzip, *;q=0"}, Gzip},
		{"nothing else, identity by name", []string{"identity, *;q=0"}, Identity},
		{"nothing", []string{"*;q=0"}, 0},
		{"anything and nothing", []string{"*, *;q=0"}, 0},
		{"unknown", []string{"dcb, sdch"}, Identity},
		{"a malformed weight", []string{"gzip;q=, br;q=2, zstd;q=-1, deflate;q=0.x, compress;q"}, Identity},
		{"more than 1", []string{"gzip;q=1.001"}, Identity},
		{"another parameter", []string{"gzip;level=9"}, Identity},
		{"separated by blanks", []string{"gzip br"}, Identity},
		{"malformed refusals of identity", []string{"identity;q=x, *;q=x"}, Identity},
	} {
		h := get()
		for _, value := range tc.values {
			h = append(h, [2]string{"accept-encoding", value})
		}
		if got := rules().Request(h, true).Codings; got != tc.want {
			t.Errorf("%s: got %06b, want %06b", tc.name, got, tc.want)
		}
	}
}

func TestVariants(t *testing.T) {
	const plain Variant = 0
	for _, tc := range []struct {
		name    string
		request Request
		want    []Variant
	}{
		{"GET", Request{Codings: Identity}, []Variant{plain}},
		{"GET, gzip", Request{Codings: Gzip | Identity}, []Variant{coded, plain}},
		{"GET, only gzip", Request{Codings: Gzip}, []Variant{coded}},
		{"GET, nothing", Request{}, nil},
		{"HEAD", Request{Head: true, Codings: Identity}, []Variant{plain, toHead}},
		{"HEAD, gzip", Request{Head: true, Codings: Gzip | Identity}, []Variant{coded, plain, toHead | coded, toHead}},
		{"HEAD, only gzip", Request{Head: true, Codings: Gzip}, []Variant{coded, toHead | coded}},
		{"HEAD, nothing", Request{Head: true}, nil},
	} {
		if got := tc.request.Variants(); !slices.Equal(got, tc.want) {
			t.Errorf("%s: got %v, want %v", tc.name, got, tc.want)
		}
	}
	seen := map[Variant]bool{}
	for _, head := range []bool{false, true} {
		for _, coding := range []Codings{Identity, Gzip} {
			q := Request{Head: head, Codings: allCodings}
			v := q.Variant(&Answer{Coding: coding})
			seen[v] = true
			if !slices.Contains(q.Variants(), v) {
				t.Errorf("stored as %v: got variants %v, want it among them", v, q.Variants())
			}
		}
	}
	if len(seen) != 4 {
		t.Errorf("got %d variants, want 4", len(seen))
	}
}

func TestAccepts(t *testing.T) {
	for _, tc := range []struct {
		codings Codings
		headers pairs
		want    bool
	}{
		{Identity, pairs{{"content-type", "text/plain"}}, true},
		{Identity, pairs{{"content-encoding", "identity"}}, true},
		{Identity, pairs{{"content-encoding", "gzip"}}, false},
		{Gzip | Identity, pairs{{"content-encoding", "GZIP"}}, true},
		{Brotli | Identity, pairs{{"etag", `"a"`}, {"content-encoding", "gzip"}}, false},
		{Gzip, pairs{{"etag", `"a"`}}, false},
		{allCodings, pairs{{"content-encoding", "gzip, br"}}, false},
		{allCodings, pairs{{"content-encoding", ""}}, false},
	} {
		q := Request{Codings: tc.codings}
		if got := q.Accepts(tc.headers); got != tc.want {
			t.Errorf("Accepts by %06b of %v = %v, want %v", tc.codings, tc.headers, got, !got)
		}
	}
}
