package admin

import (
	"strings"

	"github.com/weir-mesh/weir/policy/breaker"
)

// route is what a path is for.
type route struct {
	changes bool // by POST; else it is looked at, by GET
	do      func(d *Desk, m Moment) (Answer, *refusal)
}

func (r *route) allow() string {
	if r.changes {
		return "POST, OPTIONS"
	}
	return "GET, HEAD, OPTIONS"
}

// Moment is when a request came.
type Moment struct {
	Now  int64 // nanoseconds, monotonic
	Wall int64 // nanoseconds since 1970
}

// Answer answers one request.
func (d *Desk) Answer(r *Request, m Moment) Answer {
	answer, refused := d.answer(r, m)
	if refused != nil {
		return refused.answer()
	}
	return answer
}

func (d *Desk) answer(r *Request, m Moment) (Answer, *refusal) {
	if !r.known(d.hosts) {
		return Answer{}, refuse(403, "the host name "+quote(r.Host)+" may be anybody's: use an address, localhost or a name of this network only, or list it in admin.hosts (weir render envoy --weir-admin-host)")
	}
	route, refused := find(r.Target)
	if refused != nil {
		return Answer{}, refused
	}
	switch r.Method {
	case "OPTIONS":
		a := newAnswer(204, "", nothingAllowed, nil)
		a.Headers = append(a.Headers, [2]string{"allow", route.allow()})
		return a, nil
	case "GET", "HEAD":
		if !route.changes {
			return route.do(d, m)
		}
	case "POST":
		if route.changes {
			if r.foreign() {
				return Answer{}, refuse(403, "a page of another site may not do this")
			}
			if !r.json() {
				return Answer{}, refuse(415, "the body must be JSON, with content-type: application/json; better send none")
			}
			if refused := r.sent(); refused != nil {
				return Answer{}, refused
			}
			return route.do(d, m)
		}
	}
	return Answer{}, &refusal{status: 405, text: quote(r.Method) + " is not for this: " + route.allow(), allow: route.allow()}
}

// breakerWords are what POST /breaker/CLUSTER/… may end with.
var breakerWords = map[string]breaker.Forced{"open": breaker.ForcedOpen, "close": breaker.ForcedClosed, "auto": breaker.NotForced}

// find reads a target. A cluster's name may stand there in any spelling that decodes to it, its slashes as they are.
func find(target string) (route, *refusal) {
	path, query, _ := strings.Cut(target, "?")
	var cluster string
	named := func(rest string) *refusal {
		var ok bool
		if cluster, ok = decode(rest, false); !ok {
			return refuse(400, "the cluster's name is wrongly encoded")
		}
		if cluster == "" {
			return refuse(400, "name a cluster")
		}
		return nil
	}
	switch path {
	case "/":
		return route{do: func(*Desk, Moment) (Answer, *refusal) { return pageAnswer(), nil }}, nil
	case "/status", "/status/":
		return route{do: (*Desk).all}, nil
	case "/cache/invalidate":
		return findInvalidate(query)
	}
	if rest, ok := strings.CutPrefix(path, "/status/"); ok {
		refused := named(rest)
		return route{do: func(d *Desk, m Moment) (Answer, *refusal) { return d.one(cluster, m) }}, refused
	}
	if rest, ok := strings.CutPrefix(path, "/reset/"); ok {
		refused := named(rest)
		return route{changes: true, do: func(d *Desk, m Moment) (Answer, *refusal) { return d.reset(cluster, m) }}, refused
	}
	if rest, ok := strings.CutPrefix(path, "/breaker/"); ok {
		slash := strings.LastIndexByte(rest, '/')
		word := rest[slash+1:]
		forced, known := breakerWords[word]
		if slash < 0 || !known {
			return route{}, refuse(404, "write /breaker/CLUSTER/open, /close or /auto")
		}
		refused := named(rest[:slash])
		return route{changes: true, do: func(d *Desk, m Moment) (Answer, *refusal) { return d.force(cluster, forced, word, m) }}, refused
	}
	return route{}, refuse(404, "there is nothing here; see /, /status, /reset/CLUSTER, /breaker/CLUSTER/open, /cache/invalidate?cluster=")
}

// findInvalidate reads the query of /cache/invalidate.
func findInvalidate(query string) (route, *refusal) {
	said := map[string]string{}
	refused := refuse(400, "write ?cluster=NAME, and &path=/PATH for one path only")
	for _, pair := range strings.Split(query, "&") {
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		value, ok := decode(value, true)
		_, twice := said[name]
		if !ok || twice || (name != "cluster" && name != "path") {
			return route{changes: true}, refused
		}
		said[name] = value
	}
	path, one := said["path"]
	if said["cluster"] == "" || (one && !strings.HasPrefix(path, "/")) {
		return route{changes: true}, refused
	}
	return route{changes: true, do: func(d *Desk, m Moment) (Answer, *refusal) { return d.invalidate(said["cluster"], path, m) }}, nil
}

// quote is what somebody sent, as it may be shown again: short, without control characters.
func quote(s string) string {
	const most = 80
	if len(s) > most {
		s = s[:most]
	}
	return `"` + strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '\uFFFD' {
			return '?'
		}
		return r
	}, s) + `"`
}
