package fallbackcache

import (
	"bytes"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestCopies checks that whatever comes when, a copy has the bytes that were added, the bound holds, and in the end nothing
// is held.
func TestCopies(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		type made struct {
			*answerCopy
			want []byte
		}
		var pool copies
		var live []made
		now := int64(1)
		t.Repeat(map[string]func(*rapid.T){
			"start": func(t *rapid.T) {
				head := bytes.Repeat([]byte{'h'}, rapid.IntRange(1, 9000).Draw(t, "head"))
				limit := rapid.IntRange(1, 1<<20).Draw(t, "limit")
				declared := rapid.Int64Range(-1, 2<<20).Draw(t, "declared")
				c := pool.start(head, limit, declared, now)
				if c == nil {
					if declared <= int64(limit) && pool.bytes+2*(len(head)+limit) <= maxCopying {
						t.Fatalf("no copy of %d + %d bytes with %d in use", len(head), declared, pool.bytes)
					}
					return
				}
				live = append(live, made{c, head})
			},
			"add": func(t *rapid.T) {
				if len(live) == 0 {
					t.Skip()
				}
				c := &live[rapid.IntRange(0, len(live)-1).Draw(t, "which")]
				piece := bytes.Repeat([]byte{byte(len(c.want))}, rapid.IntRange(0, 300<<10).Draw(t, "piece"))
				pool.add(c.answerCopy, piece)
				c.want = append(bytes.Clone(c.want), piece...)
				if c.buf != nil && len(c.want)-c.head > c.limit {
					t.Fatal("a copy is longer than its limit")
				}
			},
			"drop": func(t *rapid.T) {
				if len(live) == 0 {
					t.Skip()
				}
				i := rapid.IntRange(0, len(live)-1).Draw(t, "which")
				pool.drop(live[i].answerCopy)
				pool.drop(live[i].answerCopy)
				live = append(live[:i], live[i+1:]...)
			},
			"time": func(t *rapid.T) {
				now += int64(rapid.IntRange(0, 40).Draw(t, "seconds")) * int64(time.Second)
				pool.expire(now)
			},
			"": func(t *rapid.T) {
				held := 0
				for _, c := range live {
					if c.buf != nil && !bytes.Equal(c.buf, c.want) {
						t.Fatal("a copy has other bytes than it was given")
					}
					if c.buf != nil && now-c.began > int64(copyExpiry) {
						t.Fatal("a copy outlives its expiry")
					}
					held += cap(c.buf)
				}
				if held != pool.bytes || held > maxCopying || pool.kept > maxSpare {
					t.Fatalf("%d bytes held, %d counted, %d spare", held, pool.bytes, pool.kept)
				}
			},
		})
	})
}
