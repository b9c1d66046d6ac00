// Package replay says what a policy would have decided about the requests of an access log: the filter itself, weir.wasm,
// decides, at the time at which each request came, and learns how it ended at the time at which it ended.
//
//	access log ──► Read ──► Log ──► Run(policy) ──► Decisions ──► Summarize ──► Report ──► Text, or JSON
//	               log.go           run.go                        summary.go    report.go  print.go
//	               ending.go        policy.go                     keys.go, need.go
//
//	time ──────────────────────────────────────────────────────────►
//	request 1   begin ───────── response's headers ── end            a log line is written at the end, and has the start and
//	request 2        begin ── refused                                the duration: so the lines are sorted by their start, and
//	request 3           begin ────────────────────────────── end     the ends come from a heap
//
// The log of one proxy or of many counts as one proxy with one worker, which sees all requests.
package replay
