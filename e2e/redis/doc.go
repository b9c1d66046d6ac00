// Package redis gives the tests of scope mesh a Redis and a bridge to it, and lets them fail in all ways there are.
//
//	Envoy ──HTTP──► Bridge: webdis, or `weir bridge` ──RESP──► Server: redis-server
//	                  Kill, Terminate, Restart,                  Kill, Restart, Pause, Continue, FlushScripts,
//	                  Pause, Continue                            Follow, Lead; by a Sentinel: Failover
//
// Each is a child process of the test, on a port of its own, and ends with it. Debian's packages have redis-server and
// webdis. On a machine without redis-server the bridge holds a miniredis (Server is then nil, and the test's log says so);
// without webdis only the other kind is there.
package redis
