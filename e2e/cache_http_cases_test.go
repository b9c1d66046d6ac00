package e2e

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"github.com/weir-mesh/weir/e2e/upstream"
)

// pairs yields name and value of a list that has them in turn.
func pairs(list []string) func(yield func(name, value string) bool) {
	return func(yield func(name, value string) bool) {
		for i := 0; i < len(list) && yield(list[i], list[i+1]); i += 2 {
		}
	}
}

// ageCase is an answer whose own headers say how old it is and how long it may serve: so time need not pass. The
// policy has 300 s for the cache, 3600 s for the stale cache.
type ageCase struct {
	header []string
	source string // "" where it is too old
	age    int    // at least
}

func agePath(i int) string { return fmt.Sprintf("/age/%d", i) }

func ageCases() []ageCase {
	ago := func(d time.Duration) string { return time.Now().Add(-d).UTC().Format(http.TimeFormat) }
	return []ageCase{
		{[]string{}, "cache", 0},
		{[]string{"age", "250"}, "cache", 250},
		{[]string{"age", "301"}, "stale_cache", 301},
		{[]string{"age", "3500"}, "stale_cache", 3500},
		{[]string{"age", "3601"}, "", 0},
		{[]string{"age", "99999999999999999999"}, "", 0},
		{[]string{"date", ago(400 * time.Second)}, "stale_cache", 400},
		{[]string{"date", ago(2 * time.Hour)}, "", 0},
		{[]string{"date", ago(-time.Hour)}, "cache", 0}, // its clock is ahead
		{[]string{"cache-control", "max-age=60"}, "cache", 0},
		{[]string{"cache-control", "max-age=60", "age", "61"}, "stale_cache", 61},
		{[]string{"cache-control", "max-age=0"}, "stale_cache", 0},
		{[]string{"cache-control", "max-age=60, s-maxage=10", "age", "9"}, "cache", 9},
		{[]string{"cache-control", "max-age=60, s-maxage=10", "age", "11"}, "", 0}, // s-maxage is proxy-revalidate as well (RFC 9111, 5.2.2.10)
		{[]string{"cache-control", "max-age=10, s-maxage=60", "age", "11"}, "cache", 11},
		{[]string{"cache-control", "max-age=100000", "age", "301"}, "stale_cache", 301}, // ours is the shorter one
		{[]string{"cache-control", "max-age=10, stale-if-error=10", "age", "15"}, "stale_cache", 15},
		{[]string{"cache-control", "max-age=10, stale-if-error=10", "age", "21"}, "", 0},
		{[]string{"cache-control", "max-age=10, stale-if-error=0", "age", "12"}, "", 0},
		{[]string{"cache-control", "stale-if-error=60", "age", "301"}, "stale_cache", 301},
		{[]string{"cache-control", "stale-if-error=60", "age", "361"}, "", 0},
		{[]string{"cache-control", "max-age=10, stale-if-error=1000000", "age", "3500"}, "stale_cache", 3500},
		{[]string{"cache-control", "max-age=10, stale-if-error=1000000", "age", "3601"}, "", 0},
		{[]string{"expires", ago(time.Minute)}, "stale_cache", 0},
		{[]string{"expires", "0"}, "stale_cache", 0},
		{[]string{"expires", ago(-time.Minute)}, "cache", 0},
		{[]string{"expires", strings.ToUpper(ago(-time.Minute))}, "cache", 0},
		{[]string{"expires", time.Now().Add(time.Minute).UTC().Format("Monday, 02-Jan-06 15:04:05 GMT")}, "cache", 0},
		{[]string{"expires", time.Now().Add(time.Minute).UTC().Format(time.ANSIC)}, "cache", 0},
		{[]string{"expires", "Thu, 18  Aug  2050 02:01:18 GMT"}, "stale_cache", 0}, // no date (RFC 9110, 5.6.7), so past
		{[]string{"expires", "Thu, 18 Aug 2050 2:01:18 GMT"}, "stale_cache", 0},
		{[]string{"expires", ago(time.Minute), "cache-control", "max-age=60"}, "cache", 0}, // max-age wins
	}
}

// boundCase is a body about as long as the bound of 1000 bytes, or in pieces.
type boundCase struct {
	path, body string
	behaves    upstream.Behaviour
}

func boundCases() []boundCase {
	random := rand.New(rand.NewPCG(1, 2))
	binary := func(n int) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(random.Uint32())
		}
		return string(b)
	}
	var all []boundCase
	for _, n := range []int{0, 1, 999, 1000, 1001, 5000} {
		body := binary(n)
		all = append(all, boundCase{fmt.Sprintf("/stated/%d", n), body, upstream.Body(body).Header("Content-Length", fmt.Sprint(n)).Header("Content-Type", "application/octet-stream")})
		var parts []string
		for rest := body; rest != ""; rest = rest[min(len(rest), 300):] {
			parts = append(parts, rest[:min(len(rest), 300)])
		}
		all = append(all, boundCase{fmt.Sprintf("/chunked/%d", n), body, upstream.Pieces(5*time.Millisecond, parts...).Header("Content-Type", "application/octet-stream")})
	}
	return all
}
