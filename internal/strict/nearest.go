package strict

import "strings"

// Nearest returns the choice that a mistyped word most likely meant, or "" if
// none is near: at most a third of the word's letters may differ, counting a
// swap of two neighbours once, and case not at all.
func Nearest(word string, choices []string) string {
	best, at := "", max(1, len(word)/3)+1
	lower := strings.ToLower(word)
	for _, c := range choices {
		if c == word {
			continue
		}
		d := distance(lower, strings.ToLower(c))
		if d < at && d < len(word) {
			best, at = c, d
		}
	}
	return best
}

// DidYouMean is the advice for a mistyped word: empty if nothing is near.
func DidYouMean(word string, choices []string) string {
	if n := Nearest(word, choices); n != "" {
		return `did you mean "` + n + `"?`
	}
	return ""
}

// distance is the restricted Damerau-Levenshtein distance of two words.
func distance(a, b string) int {
	x, y := []rune(a), []rune(b)
	before, prev, row := make([]int, len(y)+1), make([]int, len(y)+1), make([]int, len(y)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(x); i++ {
		row[0] = i
		for j := 1; j <= len(y); j++ {
			cost := 1
			if x[i-1] == y[j-1] {
				cost = 0
			}
			row[j] = min(prev[j]+1, row[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && x[i-1] == y[j-2] && x[i-2] == y[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, prev, row = prev, row, before
	}
	return prev[len(y)]
}
