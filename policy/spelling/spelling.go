// Package spelling finds the word that was probably meant, for messages about unknown words: "did you mean".
package spelling

import (
	"strings"

	"github.com/weir-mesh/weir/policy/ascii"
	"github.com/weir-mesh/weir/policy/heapsort"
)

// maxWord is how many bytes of a word are compared: the work grows with the product of the lengths, and an unknown word
// may come from anywhere.
const maxWord = 128

// Suggest finds the known word that was probably meant: one that differs in case, - and _ only, or in at most two
// letters (one, where the word has four or fewer).
func Suggest(word string, known []string) (suggestion string, ok bool) {
	const longestKey = 64
	if len(word) > longestKey {
		return "", false
	}
	letters := lettersOnly(word)
	for _, k := range known {
		if lettersOnly(k) == letters {
			return k, true
		}
	}
	limit := 3
	if len(word) <= 4 {
		limit = 2
	}
	for _, k := range known {
		if n := Distance(word, k); n < limit {
			suggestion, limit, ok = k, n, true
		}
	}
	return suggestion, ok
}

// Nearest returns at most n of the known words, the most similar to word first, whatever their case. Equally similar
// words are in the order of their bytes. It sorts known.
func Nearest(word string, known []string, n int) []string {
	fold := func(s string) string { return ascii.Lower(s[:min(len(s), maxWord)]) }
	distances := make(map[string]int, len(known))
	for _, k := range known {
		distances[k] = Distance(fold(word), fold(k))
	}
	heapsort.Sort(len(known), func(i, j int) bool {
		a, b := known[i], known[j]
		return distances[a] < distances[b] || distances[a] == distances[b] && a < b
	}, func(i, j int) { known[i], known[j] = known[j], known[i] })
	return known[:min(len(known), n)]
}

func lettersOnly(s string) string {
	return ascii.Lower(strings.Map(func(r rune) rune {
		if r == '_' || r == '-' {
			return -1
		}
		return r
	}, s))
}

// Distance counts the bytes to insert, delete or replace to get from a to b (V. I. Levenshtein, Soviet Physics Doklady
// 10(8), 1966). It takes time proportional to the product of their lengths: cut words that come from outside.
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
