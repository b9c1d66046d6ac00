package status

import (
	"math"
	"strconv"
	"time"

	"github.com/weir-mesh/weir/filter/adminapi"
)

// Numbers a second are of requests that came, and a limit is written as its policy has it, requests in a window: docs/operating.md,
// "Rates and limits".

// perSecond prints a rate with two digits, or whole: 0, 0.0042, 0.25, 3.4, 120.
func perSecond(n float64) string {
	return rounded(n, 2)
}

// rounded prints a number with so many digits, and all before the point.
func rounded(n float64, digits int) string {
	if !(n > 0) { // NaN included
		return "0"
	}
	scale := math.Pow(10, math.Max(float64(digits-1)-math.Floor(math.Log10(n)), 0))
	return strconv.FormatFloat(math.Round(n*scale)/scale, 'f', -1, 64)
}

// limitOf prints a limit: 100/min, 16/10s, 1000/h, and of a token bucket 2/s with bursts of 5.
func limitOf(l *adminapi.RateLimit, perMinute float64) string {
	window := windowOf(l)
	if l.Algorithm == "token_bucket" {
		return refill(perMinute) + " with bursts of " + number(math.Round(perMinute/60*window))
	}
	return requestsIn(l, perMinute) + "/" + unitOf(window)
}

func refill(perMinute float64) string { return rounded(perMinute/60, 3) + "/s" }

// loweredLimit prints a limit that may be lower than configured: 70 of 100/min.
func loweredLimit(l *adminapi.RateLimit) string {
	if l.PerMinute == l.ConfiguredPerMinute || l.Algorithm == "token_bucket" {
		return limitOf(l, l.PerMinute)
	}
	return requestsIn(l, l.PerMinute) + " of " + limitOf(l, l.ConfiguredPerMinute)
}

// requestsIn is how many requests a window admits. The filter says them for a minute, rounded to thousandths.
func requestsIn(l *adminapi.RateLimit, perMinute float64) string {
	return number(math.Round(perMinute / 60 * windowOf(l)))
}

func windowOf(l *adminapi.RateLimit) (seconds float64) {
	if l.Window > 0 {
		return l.Window
	}
	return 60
}

func unitOf(window float64) string {
	n, name := window, "s"
	switch {
	case window < 1:
		n, name = window*1000, "ms"
	case math.Mod(window, 86400) == 0:
		n, name = window/86400, "day"
	case math.Mod(window, 3600) == 0:
		n, name = window/3600, "h"
	case math.Mod(window, 60) == 0:
		n, name = window/60, "min"
	}
	if n == 1 {
		return name
	}
	return number(n) + name
}

// withoutRedis is what a limit of scope mesh does while calls to Redis fail.
func withoutRedis(l *adminapi.RateLimit, now time.Time) string {
	w := l.WithoutRedis
	text := "without Redis" + duration(now, &w.Since) + ": on_error is " + w.OnError + ", so "
	switch {
	case w.OnError == "deny":
		return text + "nothing is admitted"
	case w.PerMinute == nil:
		return text + "there is no limit"
	}
	each := "this proxy"
	if w.Proxies > 1 {
		each = "each of " + number(w.Proxies) + " proxies"
	}
	text += each + " admits " + limitOf(l, *w.PerMinute)
	if l.Keyed {
		text += " for each key"
	}
	return text + " by itself"
}
