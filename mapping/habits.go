package mapping

import (
	"regexp"
	"strings"
)

// habits are what people who think in SQL write, and what to write instead.
// They are looked for only in an expression that is wrong already.
var habits = []struct {
	pattern *regexp.Regexp
	advice  string
}{
	{regexp.MustCompile(`(?i)\bis\s+not\s+null\b`), "write != nil for IS NOT NULL"},
	{regexp.MustCompile(`(?i)\bis\s+null\b`), "write == nil for IS NULL"},
	{regexp.MustCompile(`(?i)\bis\s+(not\s+)?(true|false)\b`), "write the condition itself, or not in front of it"},
	{regexp.MustCompile(`<>`), "write != for <>"},
	{regexp.MustCompile(`(?i)\bnot\s+i?like\b|\bi?like\b`), `write contains, startsWith, endsWith or matches for LIKE`},
	{regexp.MustCompile(`(?i)\bbetween\b`), "write a >= x and a <= y for BETWEEN"},
	{regexp.MustCompile(`(?i)\bcase\s+when\b`), "write condition ? a : b for CASE"},
	{regexp.MustCompile(`(?i)\b(coalesce|ifnull|nvl)\s*\(`), "write a ?? b for COALESCE"},
	{regexp.MustCompile(`(?i)\bin\s*\(`), `write in ["a", "b"] for IN ('a', 'b')`},
	{regexp.MustCompile(`::`), "write int(…), float(…), string(…) or date(…) for a cast"},
	{regexp.MustCompile(`(^|[^=!<>])=([^=]|$)`), "write == for ="},
	{regexp.MustCompile(`\bNULL\b|\bnull\b`), "write nil for NULL"},
	{regexp.MustCompile(`\bAND\b`), "write and for AND"},
	{regexp.MustCompile(`\bOR\b`), "write or for OR"},
	{regexp.MustCompile(`\bNOT\b`), "write not for NOT"},
	{regexp.MustCompile(`\bIN\b`), "write in for IN"},
	{regexp.MustCompile(`\bTRUE\b|\bFALSE\b`), "write true and false in small letters"},
	{regexp.MustCompile(`\|\|`), "write + to join text"},
	{regexp.MustCompile(`(?i)\b(length|char_length)\s*\(`), "write len(…) for LENGTH"},
	{regexp.MustCompile(`(?i)\b(substring|substr)\s*\(`), "write text[from:to] for SUBSTRING"},
	{regexp.MustCompile(`(?i)\bnow\s*\(|\bcurrent_(date|timestamp|time)\b`), "let the application maintain a column and test that: no change of the row would say when time has passed"},
}

// sqlFunctions are functions of SQL that have a habit above: a nearest name
// would only lead astray.
var sqlFunctions = map[string]string{
	"coalesce": "??", "ifnull": "??", "nvl": "??", "length": "len", "char_length": "len", "substring": "[:]", "substr": "[:]",
}

// sqlWords are words of SQL that would be taken for columns.
var sqlWords = map[string]bool{"NULL": true, "null": true, "TRUE": true, "FALSE": true}

// sqlClocks are SQL's ways to ask the time.
var sqlClocks = map[string]bool{"random": true, "clock_timestamp": true, "gen_random_uuid": true, "statement_timestamp": true, "transaction_timestamp": true}

// habit returns the advice for an expression in which SQL shows, or "".
func habit(text string) string {
	bare := withoutStrings(text)
	for _, h := range habits {
		if h.pattern.MatchString(bare) {
			return h.advice
		}
	}
	return ""
}

// withoutStrings empties the string literals of an expression.
func withoutStrings(text string) string {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		q := text[i]
		b.WriteByte(q)
		if q != '\'' && q != '"' && q != '`' {
			continue
		}
		for i++; i < len(text) && text[i] != q; i++ {
			if text[i] == '\\' && q != '`' {
				i++
			}
		}
		b.WriteByte(q)
	}
	return b.String()
}

// plainWords says in pgcio's words what expr says in Go's.
var plainWords = strings.NewReplacer(
	"unexpected token EOF", "the expression ends too early",
	"time.Time", "time", "time.Duration", "duration",
	"func(...interface {}) (interface {}, error)", "a function",
	"map[string]interface {}", "map", "[]interface {}", "list",
	"float64", "number", "types int", "types number", " and int)", " and number)", "type int)", "type number)",
	"types string", "types text", " and string)", " and text)", "type string", "type text", "use int ", "use number ",
)

// mixed returns the advice for an operation whose sides are of two types.
func mixed(message string) string {
	if !strings.Contains(message, "mismatched types") {
		return ""
	}
	switch {
	case strings.Contains(message, "time.Time") && strings.Contains(message, "string"):
		return `write date("2024-01-31") for a time`
	case strings.Contains(message, "string") && (strings.Contains(message, " int") || strings.Contains(message, "float64")):
		return "write string(…) around the number, or int(…) or float(…) around the text"
	}
	return ""
}
