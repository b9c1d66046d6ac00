package host

import "testing"

func TestArenaMarkIsTheArenas(t *testing.T) {
	if string(arena.mark[:]) != ArenaMark || len(ArenaMark) != ArenaNext {
		t.Errorf("arena.mark = %q, want ArenaMark %q of %d bytes", arena.mark, ArenaMark, ArenaNext)
	}
}
