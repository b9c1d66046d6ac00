// Package status asks Weir's admin listener how the clusters are, tells it to reset one, and writes what it says as a
// table for people: the most troubled cluster first, with a sentence of why.
//
//	STATE    CLUSTER      LIMIT/MIN  LEFT  ALLOWED  REFUSED  FALLBACK  WHY
//	open     aws_pricing        100    12      140       31        24  opened 12s ago by 5 failures in a row; the next probe in 48s
//	lowered  azure           70/100    12      980       20         0  success rate 64%: the limit went down to 70 of 100 a minute
//	ok       healthy            100    41      310        0         0
//
// What comes over the network is not trusted: answers are read up to a bound, and no control character of a name
// reaches a terminal.
package status
