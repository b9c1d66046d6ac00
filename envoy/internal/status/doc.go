// Package status is the client of Weir's admin listener: it reads the clusters' state, resets a cluster, and prints
// the state as a table for people: first the cluster from which clients suffer most, with the reason in a sentence.
//
//	STATE    CLUSTER      REQ/S  NOT ADMITTED/S  SUCCESS          LIMIT  LEFT  ALLOWED  NOT ADMITTED  FALLBACK  WHY
//	open     aws_pricing    2.1             2.1    91.4%        100/min    12      140            31        24  opened 12s ago by 5 …
//	lowered  azure           14                    64.2%  70 of 100/min    12      980            20         0  success rate 64%: the …
//	ok       healthy          5                     100%        100/min    41      310             0         0
//
// Responses are not trusted: they are read up to a bound, and control characters in them never reach a terminal.
package status
