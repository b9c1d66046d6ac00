package redis

import (
	"errors"
	"strings"
	"testing"
)

// TestRefusals: what Redis says in 7.0 and, inside a script, in 6.0, and what stands before it says; whom it concerns,
// its name, and what to do.
func TestRefusals(t *testing.T) {
	for _, tc := range []struct {
		says   string
		scope  Scope
		name   string
		advice string // a part of it
	}{
		{"WRONGTYPE Operation against a key holding the wrong kind of value script: 4cf6, on @user_script:46.", OfRecord, "WRONGTYPE", "reset aws"},
		{"ERR Error running script (call to f_4cf6): @user_script:46: WRONGTYPE Operation against a key holding the wrong kind", OfRecord, "WRONGTYPE", "reset aws"},
		{"ERR user_script:61: attempt to perform arithmetic on a nil value script: 4cf6, on @user_script:61.", OfRecord, "refused", "reset aws"},
		{"MOVED 3999 127.0.0.1:6381", OfLimit, "MOVED", "redis+cluster://"},
		{"ASK 3999 127.0.0.1:6381", OfLimit, "ASK", "redis+cluster://"},
		{"TRYAGAIN Multiple keys request during rehashing of slot", OfLimit, "TRYAGAIN", "by itself"},
		{"CLUSTERDOWN Hash slot not served", OfLimit, "CLUSTERDOWN", "this limit's slot"},
		{"CLUSTERDOWN The cluster is down", OfRedis, "CLUSTERDOWN", "lost nodes"},
		{"CLUSTERDOWN The cluster is down and only accepts read commands", OfRedis, "CLUSTERDOWN", "lost nodes"},
		{"CROSSSLOT Keys in request don't hash to the same slot", OfLimit, "CROSSSLOT", "{aws}"},
		{"READONLY You can't write against a read only replica. script: 4cf6, on @user_script:46.", OfRedis, "READONLY", "primary"},
		{"ERR Error running script (call to f_4cf6): @user_script: 46: -READONLY You can't write against a read only replica.", OfRedis, "READONLY", "primary"},
		{"OOM command not allowed when used memory > 'maxmemory'. script: 4cf6, on @user_script:46.", OfRedis, "OOM", "maxmemory"},
		{"ERR Error running script (call to f_4cf6): @user_script: 46: -OOM command not allowed when used memory > 'maxmemory'.", OfRedis, "OOM", "maxmemory"},
		{"MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. Commands that may modify the data set are disabled", OfRedis, "MISCONF", "disk space"},
		{"ERR Error running script (call to f_4cf6): @user_script: 46: -MISCONF Errors writing to the AOF file: No space left on device", OfRedis, "MISCONF", "disk space"},
		{"LOADING Redis is loading the dataset in memory", OfRedis, "LOADING", "by itself"},
		{"BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.", OfRedis, "BUSY", "SCRIPT KILL"},
		{"NOREPLICAS Not enough good replicas to write.", OfRedis, "NOREPLICAS", "min-replicas-to-write"},
		{"MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.", OfRedis, "MASTERDOWN", "primary"},
		{"NOAUTH Authentication required.", OfRedis, "NOAUTH", "redis://USER:PASSWORD@"},
		{"WRONGPASS invalid username-password pair or user is disabled.", OfRedis, "WRONGPASS", "redis://USER:PASSWORD@"},
		{"NOPERM User x has no permissions to run the 'evalsha' command", OfRedis, "NOPERM", "+evalsha"},
		{"DENIED Redis is running in protected mode because protected mode is enabled", OfRedis, "DENIED", "protected mode"},
		{"ERR max number of clients reached", OfRedis, "refused", "maxclients"},
		{"ERR unknown command 'EVALSHA', with args beginning with: '4cf6' '5' 'weir:{script}:2:p'", OfRedis, "refused", "EVAL and EVALSHA"},
		{"ERR Unknown Redis command called from script script: 4cf6, on @user_script:3.", OfRedis, "refused", "Redis 4"},
		{"ERR max daily request limit exceeded. Limit: 10000, Usage: 10000", OfRedis, "refused", "larger one"},
		{"ERR TASK UNMOVED BASK", OfRedis, "refused", "see Redis's log"},
	} {
		e := redisError(tc.says)
		if got := e.Scope(); got != tc.scope {
			t.Errorf("%s: scope = %d, want %d", tc.says, got, tc.scope)
		}
		if got := e.Name(); got != tc.name {
			t.Errorf("%s: name = %q, want %q", tc.says, got, tc.name)
		}
		if got := e.Advice("aws"); !strings.Contains(got, tc.advice) || strings.Contains(got, "CLUSTER") {
			t.Errorf("%s: advice = %q, want %q in it", tc.says, got, tc.advice)
		}
	}
}

// TestAnswersOfBridges: the reason that a bridge, or Envoy in its place, gives for having no reply of Redis.
func TestAnswersOfBridges(t *testing.T) {
	for _, tc := range []struct {
		status       int
		body         string
		detail, name string
		advice       string // a part of it
	}{
		{401, `{"error":"WRONGPASS invalid or missing auth token"}`, "status 401: WRONGPASS invalid or missing auth token", "WRONGPASS", "redis.token"},
		{403, `{"error":"NOPERM the bridge allows PING, not 'EVALSHA'"}`, "status 403: NOPERM the bridge allows PING, not 'EVALSHA'", "NOPERM", "--allow"},
		{403, ``, "status 403", "unavailable", "Webdis: acl"},
		{404, `<html>`, "status 404: <html>", "unavailable", "redis.dialect"},
		{503, `{"error":"ERR Redis refuses the bridge's connection: NOAUTH Authentication required."}`, "status 503: ERR Redis refuses the bridge's connection: NOAUTH Authentication required.", "NOAUTH", "USER:PASSWORD"},
		{503, `{"error":"ERR Redis cannot be used"}`, "status 503: ERR Redis cannot be used", "unavailable", "/health"},
		{503, "upstream connect error or disconnect/reset before headers. reset reason: connection failure\n", "status 503: upstream connect error or disconnect/reset before headers. reset reason: connection failure", "unavailable", "/health"},
		{503, strings.Repeat("\xff", 9) + strings.Repeat("x", 999), "status 503: \uFFFD" + strings.Repeat("x", maxDetail-9), "unavailable", "/health"},
	} {
		for _, dialect := range []Dialect{NewUpstash(""), &Webdis{}} {
			_, err := dialect.Results(nil, tc.status, []byte(tc.body), []Command{words("EVALSHA")})
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("%T, status %d, %s: got %v, want an error", dialect, tc.status, tc.body, err)
			}
			if e.Detail != tc.detail || e.Name() != tc.name || !strings.Contains(e.Advice(""), tc.advice) {
				t.Errorf("%T, status %d, %s: got %q, name %q, advice %q, want %q, %q and %q in it", dialect, tc.status, tc.body, e.Detail, e.Name(), e.Advice(""), tc.detail, tc.name, tc.advice)
			}
		}
	}
	if got := (&Error{Malformed, "x"}).Advice(""); !strings.Contains(got, "redis.dialect") {
		t.Errorf("a body that is no response: got %q, want redis.dialect in it", got)
	}
	if got := (&Error{Malformed, "x"}).Advice("aws"); !strings.Contains(got, "reset aws") {
		t.Errorf("a reply that is none to this limit: got %q, want reset aws in it", got)
	}
}
