package host

import "testing"

func TestArenaMarkIsTheArenas(t *testing.T) {
	if string(arena.mark[:]) != ArenaMark || len(ArenaMark) != ArenaNext {
		t.Errorf("mark %q, constant %q", arena.mark, ArenaMark)
	}
}
