package statuses

import "testing"

func TestSet(t *testing.T) {
	var none, some Set
	some.Add(429)
	some.Add(63)
	some.Add(64)
	some.AddClass(5)
	for _, code := range []int{-1, 600, 1 << 40} { // none is a status
		some.Add(code)
	}
	for code := -70; code < 700; code++ {
		want := code == 429 || code == 63 || code == 64 || code >= 500 && code < 600
		if some.Has(code) != want || none.Has(code) {
			t.Errorf("Has(%d) = %v, and %v of the empty set, want %v, false", code, some.Has(code), none.Has(code), want)
		}
	}
	without := some
	without.RemoveClass(5)
	for digit := 1; digit <= 5; digit++ {
		if got, want := some.HasClass(digit), digit == 5; got != want || without.HasClass(digit) {
			t.Errorf("HasClass(%d) = %v, and %v without the class 5, want %v, false", digit, got, without.HasClass(digit), want)
		}
	}
	if !without.Has(429) || without.Has(599) || !some.Has(599) {
		t.Errorf("without the class 5: got 429 %v, 599 %v, want true, false, and a copy changed", without.Has(429), without.Has(599))
	}
	without.Add(500)
	if without.HasClass(5) {
		t.Error("HasClass(5) = true with 500 alone, want false")
	}
}
