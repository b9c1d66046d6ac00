// Package redis gives the tests of scope mesh a Redis and a bridge to it.
//
//	Envoy ──HTTP──► Bridge: webdis, or `weir bridge` ──RESP──► redistest.Server: redis-server
//	                  Kill, Terminate, Restart,                  see package redistest
//	                  Pause, Continue
//
// Each is a child process of the test, on a port of its own, and ends with it. Debian's packages have redis-server and
// webdis. On a machine without redis-server the bridge holds a miniredis (the server is then nil, and the test's log
// says so); without webdis only the other kind is tested.
package redis
