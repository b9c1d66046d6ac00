package replay

import (
	"bytes"
	"slices"
	"testing"
)

// field is a length-delimited field of a message.
func field(number byte, parts ...[]byte) []byte {
	content := bytes.Join(parts, nil)
	return append([]byte{number<<3 | 2, byte(len(content))}, content...)
}

func text(number byte, s string) []byte { return field(number, []byte(s)) }

func entry(key string, content []byte) []byte { return field(1, text(1, key), content) }

func TestCanonicalMetadata(t *testing.T) {
	alice, bob := entry("sub", field(2, text(3, "alice"))), entry("sub", field(2, text(3, "bob")))
	one := entry("n", field(2, []byte{2<<3 | 1, 0, 0, 0, 0, 0, 0, 0, 1}))
	ordered := func(texts ...string) []byte {
		var items []byte
		for _, s := range texts {
			items = append(items, field(1, text(3, s))...)
		}
		return entry("list", field(2, field(6, items)))
	}
	nested := func(entries ...[]byte) []byte { return entry("in", field(2, field(5, entries...))) }
	jwt := func(entries ...[]byte) []byte { return entry("jwt", field(2, entries...)) }
	rbac := entry("rbac", field(2, entry("ok", field(2, []byte{4 << 3, 1}))))
	for _, tc := range []struct {
		name string
		a, b []byte
		same bool
	}{
		{"nothing", nil, nil, true},
		{"nothing and something", nil, jwt(alice), false},
		{"the same", jwt(alice), jwt(alice), true},
		{"another value", jwt(alice), jwt(bob), false},
		{"another name", jwt(alice), entry("JWT", field(2, alice)), false},
		{"names in another order", slices.Concat(jwt(alice), rbac), slices.Concat(rbac, jwt(alice)), true},
		{"values in another order", jwt(alice, one), jwt(one, alice), true},
		{"nested values in another order", jwt(nested(alice, one)), jwt(nested(one, alice)), true},
		{"nested, another value", jwt(nested(alice, one)), jwt(nested(one, bob)), false},
		{"a list in another order", jwt(ordered("a", "b")), jwt(ordered("b", "a")), false},
		{"a list", jwt(ordered("a", "b"), one), jwt(one, ordered("a", "b")), true},
		{"one more", jwt(alice), slices.Concat(jwt(alice), rbac), false},
		{"typed metadata", slices.Concat(field(2, text(1, "t"), text(2, "any")), rbac), slices.Concat(rbac, field(2, text(1, "t"), text(2, "any"))), true},
		{"other typed metadata", field(2, text(1, "t"), text(2, "any")), field(2, text(1, "t"), text(2, "yna")), false},
	} {
		a, okA := CanonicalMetadata(tc.a)
		b, okB := CanonicalMetadata(tc.b)
		if !okA || !okB || bytes.Equal(a, b) != tc.same {
			t.Errorf("%s: got %q %v and %q %v, want the same: %v", tc.name, a, okA, b, okB, tc.same)
		}
	}
	for _, broken := range [][]byte{{0x80}, {1<<3 | 2, 5, 1}, {1<<3 | 1, 0}, {1<<3 | 3}, {1 << 3, 0x80}, field(1, []byte{0x80})} {
		if got, ok := CanonicalMetadata(broken); ok {
			t.Errorf("CanonicalMetadata(%x): got %x, want no message", broken, got)
		}
	}
}

func FuzzCanonicalMetadata(f *testing.F) {
	f.Add(entry("jwt", field(2, entry("sub", field(2, text(3, "alice"))))))
	f.Fuzz(func(t *testing.T, b []byte) {
		once, ok := CanonicalMetadata(b)
		if !ok {
			return
		}
		if twice, ok := CanonicalMetadata(once); !ok || !bytes.Equal(once, twice) {
			t.Errorf("CanonicalMetadata(%x) = %x, of that %x %v; want no change", b, once, twice, ok)
		}
	})
}
