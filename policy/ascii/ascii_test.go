package ascii

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestLikeStrings: of ASCII it is what package strings makes of it.
func TestLikeStrings(t *testing.T) {
	text := rapid.StringOf(rapid.RuneFrom([]rune("aAzZ@[`{mM09-_ \x00\x7f")))
	rapid.Check(t, func(t *rapid.T) {
		a, b := text.Draw(t, "a"), text.Draw(t, "b")
		if rapid.Bool().Draw(t, "same") {
			b = strings.ToUpper(a)
		}
		if got, want := Lower(a), strings.ToLower(a); got != want {
			t.Errorf("Lower(%q): got %q, want %q", a, got, want)
		}
		if got, want := HasLower(a), a != strings.ToUpper(a); got != want {
			t.Errorf("HasLower(%q): got %v, want %v", a, got, want)
		}
		if got, want := EqualFold(a, b), strings.EqualFold(a, b); got != want {
			t.Errorf("EqualFold(%q, %q): got %v, want %v", a, b, got, want)
		}
		set := text.Draw(t, "set")
		if got, want := Trim(a, set), strings.Trim(a, set); got != want {
			t.Errorf("Trim(%q, %q): got %q, want %q", a, set, got, want)
		}
		if got, want := TrimLeft(a, set), strings.TrimLeft(a, set); got != want {
			t.Errorf("TrimLeft(%q, %q): got %q, want %q", a, set, got, want)
		}
		if got, want := IndexAny(a, set), strings.IndexAny(a, set); got != want {
			t.Errorf("IndexAny(%q, %q): got %d, want %d", a, set, got, want)
		}
	})
}

func TestOtherLetters(t *testing.T) {
	const kelvin = "\u212a"
	if EqualFold("k", kelvin) || EqualFold(kelvin, "\u212b") {
		t.Error("EqualFold: got the Kelvin sign for another letter, want ASCII alone")
	}
	if got, want := Lower("\u00c4K"+kelvin), "\u00c4k"+kelvin; got != want {
		t.Errorf("Lower: got %q, want %q, other letters as they are", got, want)
	}
}
