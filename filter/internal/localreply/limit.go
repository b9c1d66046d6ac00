package localreply

import (
	"math"
	"strconv"
	"time"

	"github.com/weir-mesh/weir/policy"
	"github.com/weir-mesh/weir/policy/fallback"
	"github.com/weir-mesh/weir/policy/header"
	"github.com/weir-mesh/weir/policy/ratelimit"
)

// limitTexts are the parts of the RateLimit headers that do not depend on a request.
type limitTexts struct {
	policy string // "aws_pricing";q=5;w=5
	prefix string // "aws_pricing";r=
	quota  string // 5
}

func newLimitTexts(cluster string, limiter *ratelimit.Limiter) limitTexts {
	name := quoted(cluster)
	quota, window := limiter.Quota()
	t := limitTexts{quota: strconv.FormatInt(quota, 10), prefix: name + ";r="}
	t.policy = name + ";q=" + t.quota + ";w=" + strconv.FormatInt(seconds(window), 10)
	return t
}

// Quota is the configured limit, "" if the policy has none.
func (rs *Replies) Quota() string { return rs.limit.quota }

// appendLimit appends the RateLimit headers of a reply: on refusals by the limit unless `headers` is none, and on other
// replies if `headers` is all and the limit admitted the request.
func (rs *Replies) appendLimit(headers []header.Pair, r *Request) []header.Pair {
	refused := r.Reason == fallback.RateLimited && rs.limitHeaders != policy.HeadersNone
	if refused || r.Limit.Admitted && rs.limitHeaders == policy.HeadersAll {
		return rs.limit.appendTo(headers, r.Limit)
	}
	return headers
}

// OnResponse adds the RateLimit headers to those set on upstream's response, if `headers` is all. The set itself is not
// changed.
func (rs *Replies) OnResponse(set []header.Pair, v *ratelimit.Verdict) []header.Pair {
	if rs.limitHeaders != policy.HeadersAll || !v.Admitted {
		return set
	}
	return rs.limit.appendTo(set[:len(set):len(set)], v)
}

// appendTo appends the remaining requests, in the IETF's form (draft-ietf-httpapi-ratelimit-headers) and the older one.
// t and reset are the seconds until the whole limit is free again; retry-after, on a refusal, is when one request will
// be admitted.
func (t *limitTexts) appendTo(headers []header.Pair, v *ratelimit.Verdict) []header.Pair {
	remaining := strconv.FormatInt(v.Remaining, 10)
	reset := strconv.FormatInt(seconds(v.Reset), 10)
	return append(headers,
		header.Pair{"ratelimit-policy", t.policy},
		header.Pair{"ratelimit", t.prefix + remaining + ";t=" + reset},
		header.Pair{"x-ratelimit-limit", t.quota},
		header.Pair{"x-ratelimit-remaining", remaining},
		header.Pair{"x-ratelimit-reset", reset},
	)
}

// quoted is a string of structured fields (RFC 9651, section 3.3.3): printable ASCII, \ and " escaped.
func quoted(s string) string {
	b := make([]byte, 0, len(s)+2)
	b = append(b, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < 0x20 || c > 0x7e:
			b = append(b, '_')
		default:
			b = append(b, c)
		}
	}
	return string(append(b, '"'))
}

// seconds rounds up to whole seconds, the unit of the headers.
func seconds(d time.Duration) int64 {
	if d > math.MaxInt64-time.Second {
		return int64(d / time.Second)
	}
	return int64((d + time.Second - 1) / time.Second)
}
