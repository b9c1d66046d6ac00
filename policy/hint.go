package policy

import "strings"

// hint finds the known word that was probably meant: one that differs in case, - and _ only, or in at most two
// letters (one, where the word is short).
func hint(word string, known []string) (string, bool) {
	const maxWord = 64 // no key is nearly as long
	if len(word) > maxWord {
		return "", false
	}
	bare := lettersOnly(word)
	for _, k := range known {
		if lettersOnly(k) == bare {
			return k, true
		}
	}
	best, found := "", false
	nearest := 3
	if len(word) <= 4 {
		nearest = 2
	}
	for _, k := range known {
		if n := Distance(word, k); n < nearest {
			best, nearest, found = k, n, true
		}
	}
	return best, found
}

// meant is the end of a mistake about an unknown word: the near miss, or all there is.
func meant(word string, known []string) string {
	if near, ok := hint(word, known); ok {
		return "did you mean `" + near + "`?"
	}
	if len(known) == 0 {
		return "there are none here"
	}
	return "known are " + strings.Join(known, ", ")
}

func lettersOnly(s string) string {
	return strings.ToLower(strings.Map(func(r rune) rune {
		if r == '_' || r == '-' {
			return -1
		}
		return r
	}, s))
}

// Distance counts the bytes to insert, delete or replace to get from a to b (V. I. Levenshtein, Soviet Physics Doklady
// 10(8), 1966), for messages about words that nobody knows. It takes time of their lengths' product: cut what a stranger
// may have written.
func Distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}
