package settings

import (
	"slices"
	"strings"
)

// Nearest returns the word that name is probably a misspelling of: the one with the smallest edit distance, if that is at
// most two, and less for a short name.
func Nearest(name string, words []string) (nearest string, ok bool) {
	if len(words) == 0 {
		return "", false
	}
	lower := strings.ToLower(name)
	nearest = slices.MinFunc(words, func(a, b string) int {
		return distance(lower, strings.ToLower(a)) - distance(lower, strings.ToLower(b))
	})
	return nearest, distance(lower, strings.ToLower(nearest)) <= min(2, (len(name)+1)/2)
}

// distance returns the Levenshtein distance of two strings, in bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			next := min(row[j], row[j+1]) + 1
			if a[i] == b[j] {
				next = min(next, diagonal)
			} else {
				next = min(next, diagonal+1)
			}
			diagonal, row[j+1] = row[j+1], next
		}
	}
	return row[len(b)]
}
