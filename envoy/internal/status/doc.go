// Package status is the client of Weir's admin listener: it reads the clusters' state, resets a cluster, and prints
// the state as a table for people, the cluster with the worst trouble first, with the reason in a sentence.
//
//	STATE    CLUSTER      LIMIT/MIN  LEFT  ALLOWED  NOT ADMITTED  FALLBACK  WHY
//	open     aws_pricing        100    12      140            31        24  opened 12s ago by 5 failures in a row; …
//	lowered  azure           70/100    12      980            20         0  success rate 64%: the limit went down to …
//	ok       healthy            100    41      310             0         0
//
// Responses are not trusted: they are read up to a bound, and control characters in them never reach a terminal.
package status
