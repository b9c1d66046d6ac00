package fallback

import "testing"

func TestObstaclesOfAnswers(t *testing.T) {
	for _, tc := range []struct {
		status int
		answer Headers
		want   Obstacle
	}{
		{200, answer(), NoObstacle},
		{206, answer(), StatusNotKept},
		{404, answer(), StatusNotKept},
		{201, answer(), StatusNotKept},
		{201, answer("cache-control", "max-age=9"), NoObstacle},
		{200, answer("cache-control", "max-age=9, no-store"), NoStore},
		{200, answer("cache-control", "private, no-store"), Private},
		{200, answer("cache-control", `private="x-user"`), Private},
		{200, answer("cdn-cache-control", "private"), Private},
		{200, answer("cache-control", "no-cache"), NoCache},
		{200, answer("pragma", "no-cache"), NoCache},
		{200, answer("pragma", "no-cache", "cache-control", "max-age=9"), NoObstacle},
		{200, answer("pragma", "no-cache", "set-cookie", "a=b"), SetCookie},
		{200, answer("cache-control", "must-revalidate"), MustRevalidate},
		{200, answer("cache-control", "proxy-revalidate"), MustRevalidate},
		{200, answer("cache-control", "=9"), BadCacheControl},
		{200, answer("vary", "user-agent"), VaryBy},
		{200, answer("vary", "*"), VaryBy},
		{200, answer("set-cookie", "a=b"), SetCookie},
		{200, answer("x-csrf-token", "1"), ResponseHeader},
		{200, answer("www-authenticate", "Basic"), ResponseHeader},
		{200, answer("connection", "x-hop"), ResponseHeader},
		{200, answer("access-control-allow-origin", "https://a.example"), CORSOrigin},
		{200, answer("content-encoding", "x-rot13"), Coding},
		{200, answer("content-type", "text/event-stream"), ContentType},
		{200, answer("content-range", "bytes 0-3/6"), ContentType},
		{200, answer("transfer-encoding", "gzip"), UnknownLength},
		{200, answer("content-length", "1", "content-length", "2"), UnknownLength},
		{200, answer("age", "3601"), Expired},
	} {
		if _, got := rules().Answer(tc.answer, tc.status, noon, 0); got != tc.want {
			t.Errorf("%d %v: got %v, want %v", tc.status, tc.answer, got, tc.want)
		}
	}
}

func TestObstaclesOfRequests(t *testing.T) {
	for _, tc := range []struct {
		request         Headers
		ended           bool
		toKeep, toUsing Obstacle
	}{
		{get(), true, NoObstacle, NoObstacle},
		{get(), false, RequestBody, RequestBody},
		{get("cookie", "a=b"), true, Credential, Credential},
		{get("x-original-url", "/a"), true, Rerouting, Rerouting},
		{get("cache-control", "no-store"), true, RequestNoStore, NoObstacle},
		{get("if-match", `"a"`), true, NoObstacle, Condition},
		{get("upgrade", "websocket"), true, NoObstacle, NoObstacle},
		{get("x-tenant", "a"), true, NoObstacle, NoObstacle}, // it depends on the answer
	} {
		q := rules().Request(tc.request, tc.ended)
		if keep, use := q.ToKeeping(), q.ToUsing(); keep != tc.toKeep || use != tc.toUsing {
			t.Errorf("%v: got %v to keeping and %v to using, want %v and %v", tc.request, keep, use, tc.toKeep, tc.toUsing)
		}
	}
}

func TestObstaclesHaveNames(t *testing.T) {
	seen := map[string]bool{}
	for o := range Obstacles {
		if name := o.String(); name == "" || seen[name] {
			t.Errorf("obstacle %d: got name %q, want one of its own", o, name)
		}
		seen[o.String()] = true
	}
}
