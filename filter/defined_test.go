package main

import (
	"errors"
	"testing"
)

func TestNamed(t *testing.T) {
	var known map[string]int
	asked := 0
	fails := true
	define := func(string) (int, error) {
		if asked++; fails {
			return 0, errors.New("down")
		}
		return asked, nil
	}
	if _, err := named(&known, "a", define); err == nil {
		t.Error("no error")
	}
	fails = false
	for _, want := range []struct {
		name string
		id   int
	}{{"a", 2}, {"a", 2}, {"b", 3}, {"a", 2}} {
		if got, err := named(&known, want.name, define); err != nil || got != want.id {
			t.Errorf("%s: %d, %v, want %d", want.name, got, err, want.id)
		}
	}
}
