package redis

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// words is a command of these words.
func words(ws ...string) (c Command) {
	for _, w := range ws {
		c.Text(w)
	}
	return c
}

func TestRequests(t *testing.T) {
	ping, call := words("PING"), words("EVALSHA", "ab", "1", "weir:{a/b}:e", "é \"\\\n\x01", "7")
	for _, tc := range []struct {
		name     string
		dialect  Dialect
		commands []Command
		want     Request
	}{
		{"webdis", &Webdis{}, []Command{ping}, Request{"POST", "/", "application/x-www-form-urlencoded", "", []byte("PING")}},
		{"webdis, any byte", &Webdis{}, []Command{call}, Request{
			"POST", "/", "application/x-www-form-urlencoded", "",
			[]byte("EVALSHA/ab/1/weir%3A%7Ba%2Fb%7D%3Ae/%C3%A9%20%22%5C%0A%01/7"),
		}},
		{"upstash", NewUpstash(""), []Command{ping}, Request{"POST", "/", "application/json", "", []byte(`["PING"]`)}},
		{"upstash, any text", NewUpstash("secret"), []Command{call}, Request{
			"POST", "/", "application/json", "Bearer secret",
			[]byte(`["EVALSHA","ab","1","weir:{a/b}:e","é \"\\\n\u0001","7"]`),
		}},
		{"upstash, pipeline", NewUpstash("x"), []Command{ping, ping}, Request{"POST", "/pipeline", "application/json", "Bearer x", []byte(`[["PING"],["PING"]]`)}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for range 2 { // the second request uses the memory of the first
				got := tc.dialect.Request(tc.commands)
				if got.Method != tc.want.Method || got.Path != tc.want.Path || got.ContentType != tc.want.ContentType ||
					got.Authorization != tc.want.Authorization || string(got.Body) != string(tc.want.Body) {
					t.Errorf("got %+v, body %s, want %+v, body %s", got, got.Body, tc.want, tc.want.Body)
				}
			}
		})
	}
}

func TestResults(t *testing.T) {
	one, two := []Command{words("EVALSHA")}, []Command{words("EVALSHA"), words("PING")}
	ping := []Command{words("PING")}
	webdis, upstash := &Webdis{}, NewUpstash("")
	long := strings.Repeat("x", MaxBody)
	ok := func(ints ...int64) Result { return Result{Ints: ints} }
	for _, tc := range []struct {
		name     string
		dialect  Dialect
		commands []Command
		status   int
		body     string
		want     []Result
		kind     Kind // of the error, that of all or that of the first result
	}{
		// The bytes of Debian's webdis 0.1.9.
		{"webdis", webdis, one, 200, `{"EVALSHA":[17,1764000000000000,5,0,95,100,3,0]}`, []Result{ok(17, 1764000000000000, 5, 0, 95, 100, 3, 0)}, 0},
		{"webdis, number", webdis, one, 200, `{"EVALSHA":-5}`, []Result{ok(-5)}, 0},
		{"webdis, nothing", webdis, one, 200, `{"EVALSHA":[]}`, []Result{{}}, 0},
		{"webdis, PONG", webdis, ping, 200, `{"PING":[true,"PONG"]}`, []Result{{Status: "PONG"}}, 0},
		{"webdis, no script", webdis, one, 200, `{"EVALSHA":[false,"NOSCRIPT No matching script. Please use EVAL."]}`, nil, NoScript},
		{"webdis, error", webdis, one, 200, `{"EVALSHA":[false,"READONLY You can't write against a read only replica."]}`, nil, Refused},
		{"webdis, no Redis", webdis, one, 503, ``, nil, Unavailable},
		{"webdis, forbidden", webdis, one, 403, ``, nil, Unavailable},
		{"webdis, nil", webdis, one, 200, `{"EVALSHA":null}`, nil, Malformed},
		{"webdis, nested", webdis, one, 200, `{"EVALSHA":[null,null]}`, nil, Malformed},
		{"webdis, strings", webdis, one, 200, `{"EVALSHA":["1"]}`, nil, Malformed},
		{"webdis, of another command", webdis, one, 200, `{"PING":[true,"PONG"]}`, nil, Malformed},
		{"webdis, cut", webdis, one, 200, `{"EVALSHA":[17,17640000`, nil, Malformed},
		{"webdis, more", webdis, one, 200, `{"EVALSHA":[17]}{`, nil, Malformed},
		{"webdis, empty", webdis, one, 200, ``, nil, Malformed},
		{"webdis, fraction", webdis, one, 200, `{"EVALSHA":[1.5]}`, nil, Malformed},
		{"webdis, exponent", webdis, one, 200, `{"EVALSHA":[1e3]}`, nil, Malformed},
		{"webdis, too large a number", webdis, one, 200, `{"EVALSHA":[9223372036854775808]}`, nil, Malformed},
		{"webdis, leading zero", webdis, one, 200, `{"EVALSHA":[01]}`, nil, Malformed},
		{"webdis, too many", webdis, one, 200, `{"EVALSHA":[` + strings.Repeat("1,", 99) + `1]}`, nil, Malformed},
		{"webdis, too large", webdis, one, 200, `{"EVALSHA":[1]}` + long, nil, TooLarge},
		{"webdis, a page", webdis, one, 200, `<html>`, nil, Malformed},

		{"upstash", upstash, one, 200, `{"result":[1, 2]}`, []Result{ok(1, 2)}, 0},
		{"upstash, PONG", upstash, ping, 200, ` { "result" : "PONG" } `, []Result{{Status: "PONG"}}, 0},
		{"upstash, no script", upstash, one, 400, `{"error":"NOSCRIPT No matching script."}`, nil, NoScript},
		{"upstash, error", upstash, one, 400, `{"error":"ERR \"x\" \u00e9\/"}`, nil, Refused},
		{"upstash, 400 without an error", upstash, one, 400, `{"result":[1]}`, nil, Malformed},
		{"upstash, wrong token", upstash, one, 401, `{"error":"Unauthorized"}`, nil, Unavailable},
		{"upstash, pipeline", upstash, two, 200, `[{"result":[1]},{"result":"PONG"}]`, []Result{ok(1), {Status: "PONG"}}, 0},
		{"upstash, error in a pipeline", upstash, two, 200, `[{"error":"NOSCRIPT x"},{"result":"PONG"}]`, []Result{{Err: &Error{NoScript, "NOSCRIPT x"}}, {Status: "PONG"}}, NoScript},
		{"upstash, error of a pipeline", upstash, two, 400, `{"error":"ERR no"}`, nil, Refused},
		{"upstash, one answer to a pipeline", upstash, two, 200, `{"result":[1]}`, nil, Malformed},
		{"upstash, short pipeline", upstash, two, 200, `[{"result":[1]}]`, nil, Malformed},
		{"upstash, long pipeline", upstash, two, 200, `[{"result":[1]},{"result":[1]},{"result":[1]}]`, nil, Malformed},
		{"upstash, a mark", upstash, one, 200, `{"result":[false,"x"]}`, nil, Malformed},
		{"upstash, other member", upstash, one, 200, `{"value":1}`, nil, Malformed},
		{"no status", upstash, one, 0, `{"result":[1]}`, nil, Malformed},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := tc.dialect.Results(nil, tc.status, []byte(tc.body), tc.commands)
			if err == nil && len(got) > 0 {
				err = got[0].Err
			}
			var e *Error
			if tc.kind != 0 && (!errors.As(err, &e) || e.Kind != tc.kind) {
				t.Fatalf("got %+v, %v, want an error: %v", got, err, tc.kind)
			}
			if tc.kind == 0 && err != nil {
				t.Fatal(err)
			}
			if tc.want != nil && !slices.EqualFunc(got, tc.want, equal) {
				t.Errorf("got %+v, want %+v", got, tc.want)
			}
		})
	}
}

func equal(a, b Result) bool {
	return slices.Equal(a.Ints, b.Ints) && a.Status == b.Status && (a.Err == nil) == (b.Err == nil) && (a.Err == nil || a.Err.Error() == b.Err.Error())
}

func TestInvalidRepliesAreRefused(t *testing.T) {
	l := NewSlidingWindow(100, 60e9, 5e8)
	req := &LeaseRequest{Number: 17, Need: 2, Want: 5}
	good := []int64{17, 1764000000000000, 5, 0, 95, 100, 3, 0, 2}
	if r, err := l.Read(Result{Ints: good}, req); err != nil || r != (Reply{At: 1764000000000000, Granted: 5, Remaining: 95, Limit: 100, Live: 3, Lately: 2}) {
		t.Fatalf("a valid reply: got %+v, %v", r, err)
	}
	for _, tc := range []struct {
		name  string
		place int
		value int64
	}{
		{"another call's", 0, 16},
		{"no time", 1, 0},
		{"time out of range", 1, 1<<53 + 1},
		{"more than asked for", 2, 6},
		{"less than nothing", 2, -1},
		{"nothing though there is", 2, 0},
		{"a wait though there is something", 3, 1},
		{"no wait though there is nothing", 4, 0},
		{"more left than the limit", 4, 101},
		{"a limit above the limit", 5, 101},
		{"no limit", 5, 0},
		{"no proxy", 6, 0},
		{"a rate above 1", 7, 1_000_002},
		{"no proxy lately", 8, 0},
		{"more proxies lately than there are", 8, 4},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bad := slices.Clone(good)
			bad[tc.place] = tc.value
			r, err := l.Read(Result{Ints: bad}, req)
			var e *Error
			if !errors.As(err, &e) || e.Kind != Malformed || r != (Reply{}) {
				t.Errorf("got %+v, %v, want a malformed reply", r, err)
			}
		})
	}
	for _, r := range []Result{{Ints: good[:8]}, {Ints: append(slices.Clone(good), 0)}, {Status: "OK"}, {}} {
		if _, err := l.Read(r, req); err == nil {
			t.Errorf("Read(%+v): got no error, want one", r)
		}
	}
}

func FuzzResults(f *testing.F) {
	for _, body := range []string{
		`{"EVALSHA":[17,1764000000000000,5,0,95,100,3,0]}`, `{"EVALSHA":[false,"NOSCRIPT \u00e9"]}`, `{"EVALSHA":[true,"PONG"]}`,
		`{"result":[17,1764000000000000,5,0,95,100,3,0]}`, `{"error":"ERR x"}`, `[{"result":1},{"error":"x"}]`, `{"result":"\ud800\\"}`, ``,
	} {
		f.Add(200, []byte(body))
		f.Add(400, []byte(body))
	}
	l, req := NewSlidingWindow(100, 60e9, 5e8), &LeaseRequest{Number: 17, Need: 2, Want: 5}
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		for _, d := range []Dialect{&Webdis{}, NewUpstash("")} {
			for n := 1; n <= min(d.MaxCommands(), 2); n++ {
				commands := []Command{words("EVALSHA"), words("EVALSHA")}[:n]
				got, err := d.Results(nil, status, body, commands)
				if (err == nil) != (len(got) == n) {
					t.Fatalf("got %d results, %v, want %d or an error", len(got), err, n)
				}
				for _, r := range got {
					reply, err := l.Read(r, req)
					if err == nil && (reply.Granted < 0 || reply.Granted > req.Want || reply.Remaining > reply.Limit || status != 200) {
						t.Fatalf("got %+v, want a malformed reply", reply)
					}
					var e *Error
					if err != nil && (!errors.As(err, &e) || len(e.Detail) > 3*maxDetail) {
						t.Fatalf("got %v, want an *Error with a short detail", err)
					}
				}
			}
		}
	})
}
