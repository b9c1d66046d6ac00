package benchmesh

import (
	"strings"
	"testing"
	"time"
)

func TestParseLog(t *testing.T) {
	all, err := parseLog(strings.NewReader("1795471120913694\t429\t1916\n1795471120913584\t200\t1751\n"))
	if err != nil || len(all) != 2 || all[0] != (answer{1795471120913584, 200, 1751 * time.Microsecond}) || all[1].status != 429 {
		t.Errorf("got %v, %v, want two answers, the earlier one first", all, err)
	}
	if admitted, refused, err := all.counts(); admitted != 1 || refused != 1 || err != nil {
		t.Errorf("got %d admitted, %d refused, %v, want 1 and 1", admitted, refused, err)
	}
	for _, wrong := range []string{"1795471120913694\t200\n", "soon\t200\t1\n"} {
		if all, err := parseLog(strings.NewReader(wrong)); err == nil {
			t.Errorf("%q: got %v, want an error", wrong, all)
		}
	}
	if _, _, err := (answers{{1, -1, time.Second}}).counts(); err == nil {
		t.Error("got no error, want one for a request that failed")
	}
}

func TestPercentile(t *testing.T) {
	var all answers
	for i := range int64(200) {
		all = append(all, answer{start: i * 5000, status: 200, latency: time.Duration(200-i) * time.Millisecond})
	}
	for p, want := range map[int]time.Duration{0: time.Millisecond, 50: 100 * time.Millisecond, 99: 198 * time.Millisecond, 100: 200 * time.Millisecond} {
		if got := all.percentile(p); got != want {
			t.Errorf("percentile %d: got %v, want %v", p, got, want)
		}
	}
	if got := all.rate(); got != 200 {
		t.Errorf("got %v requests/s, want 200", got)
	}
	if got := all.since(500 * time.Millisecond); len(got) != 100 || got[0].start != 500_000 {
		t.Errorf("got %d answers since then, want 100", len(got))
	}
}
