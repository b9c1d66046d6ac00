package admin

import "strings"

// route is what a path does.
type route struct {
	changes bool // by POST; others read, by GET and HEAD
	page    bool // the live page, and do is nil
	do      func(h *Handler, at Instant) (Response, *httpError)
}

func (r *route) allow() string {
	if r.changes {
		return "POST, OPTIONS"
	}
	return "GET, HEAD, OPTIONS"
}

// Instant is when a request came, by both clocks.
type Instant struct {
	Monotonic int64 // nanoseconds, the clock of the records
	Wall      int64 // nanoseconds since 1970
}

// Handle responds to one request.
func (h *Handler) Handle(r *Request, at Instant) Response {
	response, failed := h.handle(r, at)
	if failed != nil {
		return failed.response()
	}
	return response
}

func (h *Handler) handle(r *Request, at Instant) (Response, *httpError) {
	if !r.hostIsPrivate(h.hosts) {
		return Response{}, newError(403, "the host "+quote(r.Host)+" may be a public name: use an address, localhost or a "+
			"private name, or list it in admin.hosts (weir render envoy --weir-admin-host)")
	}
	route, failed := find(r.Target)
	if failed != nil {
		return Response{}, failed
	}
	switch {
	case r.Method == "OPTIONS":
		response := newResponse(204, "", strictCSP, nil)
		response.Headers = append(response.Headers, [2]string{"allow", route.allow()})
		return response, nil
	case r.Method == "POST" && route.changes:
		if failed := r.checkPost(); failed != nil {
			return Response{}, failed
		}
		response, failed := route.do(h, at)
		h.renderings.outdated()
		return response, failed
	case (r.Method == "GET" || r.Method == "HEAD") && route.page:
		return pageResponse(r.Encodings)
	case (r.Method == "GET" || r.Method == "HEAD") && !route.changes:
		return route.do(h, at)
	}
	message := "method " + quote(r.Method) + " is not allowed here: use " + route.allow()
	return Response{}, &httpError{status: 405, message: message, allow: route.allow()}
}

// find reads a target: a path and a query. A cluster's name is percent-decoded; slashes in it may be encoded or not.
func find(target string) (route, *httpError) {
	path, query, _ := strings.Cut(target, "?")
	switch path {
	case "/":
		return route{page: true}, nil
	case "/status", "/status/":
		return route{do: (*Handler).all}, nil
	case "/cache/invalidate":
		return findInvalidate(query)
	}
	if rest, ok := strings.CutPrefix(path, "/status/"); ok {
		cluster, failed := clusterName(rest)
		return route{do: func(h *Handler, at Instant) (Response, *httpError) { return h.one(cluster, at) }}, failed
	}
	if rest, ok := strings.CutPrefix(path, "/reset/"); ok {
		cluster, failed := clusterName(rest)
		return route{changes: true, do: func(h *Handler, at Instant) (Response, *httpError) { return h.reset(cluster, at) }}, failed
	}
	if rest, ok := strings.CutPrefix(path, "/breaker/"); ok {
		return findBreaker(rest)
	}
	return route{}, newError(404, "no such path: see /, /status, /reset/CLUSTER, /breaker/CLUSTER/open, /cache/invalidate?cluster=")
}

func clusterName(encoded string) (string, *httpError) {
	name, ok := decode(encoded, false)
	switch {
	case !ok:
		return "", newError(400, "the cluster's name is not percent-encoded UTF-8 without control characters")
	case name == "":
		return "", newError(400, "the cluster's name is missing")
	}
	return name, nil
}

// findBreaker reads CLUSTER/ACTION. The name may have slashes, so the last one ends it.
func findBreaker(rest string) (route, *httpError) {
	slash := strings.LastIndexByte(rest, '/')
	action := rest[slash+1:]
	if _, known := breakerActions[action]; slash < 0 || !known {
		return route{}, newError(404, "no such action: write /breaker/CLUSTER/open, /close or /auto")
	}
	cluster, failed := clusterName(rest[:slash])
	return route{changes: true, do: func(h *Handler, at Instant) (Response, *httpError) { return h.force(cluster, action, at) }}, failed
}

// findInvalidate reads the query of /cache/invalidate.
func findInvalidate(query string) (route, *httpError) {
	values := map[string]string{}
	failed := newError(400, "the query must be ?cluster=NAME, with &path=/PATH for one path only")
	for pair := range strings.SplitSeq(query, "&") {
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		value, ok := decode(value, true)
		_, twice := values[name]
		if !ok || twice || (name != "cluster" && name != "path") {
			return route{changes: true}, failed
		}
		values[name] = value
	}
	path, hasPath := values["path"]
	if values["cluster"] == "" || (hasPath && !strings.HasPrefix(path, "/")) {
		return route{changes: true}, failed
	}
	return route{changes: true, do: func(h *Handler, at Instant) (Response, *httpError) {
		return h.invalidate(values["cluster"], path, at)
	}}, nil
}

// quote shows a part of a request in a message: at most 80 bytes, control characters as "?".
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
