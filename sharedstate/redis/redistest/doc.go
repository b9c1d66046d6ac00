// Package redistest gives a test a real Redis that it can make fail in every way.
//
//	Server: redis-server    Kill, Restart, Pause, Continue, FlushScripts, Follow, Lead
//	Sentinel                Failover
//
// Each is a child process of the test (package process) on a port of its own (package port), and ends with the test.
// Debian's package redis-server has the program.
package redistest
