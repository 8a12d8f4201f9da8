package strict

import (
	"bytes"
	"sort"
	"strconv"
	"strings"
)

// mark is where a key first stands: its line, and its place among all keys.
type mark struct{ line, order int }

// scanner finds where the keys of a document stand, which the TOML decoder
// does not tell. It runs only over what the decoder has accepted, so it may
// take well-formedness for granted; on anything else it stops early and the
// keys after that have no line.
type scanner struct {
	src   []byte
	pos   int
	ends  []int           // offsets of the newlines
	marks map[string]mark // by path: segments each preceded by a NUL
	count map[string]int  // elements of each array of tables so far
	bad   bool
}

// locate returns the marks of all keys of a document.
func locate(src []byte) map[string]mark {
	s := &scanner{src: src, marks: map[string]mark{}, count: map[string]int{}}
	for i, c := range src {
		if c == '\n' {
			s.ends = append(s.ends, i)
		}
	}
	if bytes.HasPrefix(src, []byte("\xef\xbb\xbf")) {
		s.pos = 3
	}
	current := ""
	for {
		s.blank(true)
		if s.pos >= len(src) || s.bad {
			return s.marks
		}
		if s.peek() == '[' {
			current = s.header()
			continue
		}
		s.pair(current)
	}
}

// segment and element build paths: of a key, and of an array's element.
func segment(path, key string) string   { return path + "\x00" + key }
func element(path string, i int) string { return path + "\x00#" + strconv.Itoa(i) }

func (s *scanner) peek() byte {
	if s.pos < len(s.src) {
		return s.src[s.pos]
	}
	s.bad = true
	return 0
}

// blank skips white space and comments, and newlines if asked to.
func (s *scanner) blank(newlines bool) {
	for s.pos < len(s.src) {
		switch c := s.src[s.pos]; {
		case c == ' ' || c == '\t' || c == '\r':
			s.pos++
		case c == '\n' && newlines:
			s.pos++
		case c == '#' && newlines:
			for s.pos < len(s.src) && s.src[s.pos] != '\n' {
				s.pos++
			}
		default:
			return
		}
	}
}

func (s *scanner) note(path string, at int) {
	if _, known := s.marks[path]; !known {
		line := 1 + sort.SearchInts(s.ends, at)
		s.marks[path] = mark{line: line, order: len(s.marks)}
	}
}

// header reads [a.b] or [[a.b]] and returns the path of the table it opens.
func (s *scanner) header() string {
	at := s.pos
	s.pos++
	array := s.peek() == '['
	if array {
		s.pos++
	}
	keys := s.key()
	path := ""
	for i, k := range keys {
		path = segment(path, k)
		s.note(path, at)
		if n := s.count[path]; n > 0 && (i < len(keys)-1 || !array) {
			path = element(path, n-1)
		}
	}
	if array {
		n := s.count[path]
		s.count[path] = n + 1
		path = element(path, n)
		s.note(path, at)
	}
	for s.pos < len(s.src) && s.src[s.pos] == ']' {
		s.pos++
	}
	return path
}

// key reads a dotted key.
func (s *scanner) key() []string {
	var keys []string
	for !s.bad {
		s.blank(false)
		start := s.pos
		switch c := s.peek(); c {
		case '"', '\'':
			s.pos++
			for !s.bad && s.peek() != c {
				if c == '"' && s.peek() == '\\' {
					s.pos++
				}
				s.pos++
			}
			s.pos++
			if s.bad {
				return keys
			}
			text := string(s.src[start+1 : s.pos-1])
			if c == '"' {
				if u, err := strconv.Unquote(string(s.src[start:s.pos])); err == nil {
					text = u
				}
			}
			keys = append(keys, text)
		default:
			for s.pos < len(s.src) && !strings.ContainsRune(" \t.=]\r\n", rune(s.src[s.pos])) {
				s.pos++
			}
			if s.pos == start {
				s.bad = true
				return keys
			}
			keys = append(keys, string(s.src[start:s.pos]))
		}
		s.blank(false)
		if s.pos >= len(s.src) || s.src[s.pos] != '.' {
			return keys
		}
		s.pos++
	}
	return keys
}

// pair reads key = value below a path.
func (s *scanner) pair(path string) {
	at := s.pos
	for _, k := range s.key() {
		path = segment(path, k)
		s.note(path, at)
	}
	s.blank(false)
	if s.peek() != '=' {
		s.bad = true
		return
	}
	s.pos++
	s.value(path)
}

// value skips a value, noting the keys of inline tables.
func (s *scanner) value(path string) {
	s.blank(true)
	switch c := s.peek(); c {
	case '"', '\'':
		s.quoted(c)
	case '{':
		s.pos++
		for !s.bad {
			s.blank(true)
			switch s.peek() {
			case '}':
				s.pos++
				return
			case ',':
				s.pos++
			default:
				s.pair(path)
			}
		}
	case '[':
		s.pos++
		for n := 0; !s.bad; {
			s.blank(true)
			switch s.peek() {
			case ']':
				s.pos++
				return
			case ',':
				s.pos++
			default:
				s.note(element(path, n), s.pos)
				s.value(element(path, n))
				n++
			}
		}
	default:
		start := s.pos
		for s.pos < len(s.src) && !strings.ContainsRune(",]}#\r\n", rune(s.src[s.pos])) {
			s.pos++
		}
		s.bad = s.bad || s.pos == start
	}
}

// quoted skips a string of any of the four kinds.
func (s *scanner) quoted(q byte) {
	long := []byte{q, q, q}
	if bytes.HasPrefix(s.src[s.pos:], long) {
		s.pos += 3
		for s.pos < len(s.src) {
			switch {
			case q == '"' && s.src[s.pos] == '\\':
				s.pos += 2
			case bytes.HasPrefix(s.src[s.pos:], long):
				s.pos += 3
				for n := 0; n < 2 && s.pos < len(s.src) && s.src[s.pos] == q; n++ {
					s.pos++ // one or two quotes may stand before the closing three
				}
				return
			default:
				s.pos++
			}
		}
		s.bad = true
		return
	}
	s.pos++
	for s.pos < len(s.src) && s.src[s.pos] != q {
		if q == '"' && s.src[s.pos] == '\\' {
			s.pos++
		}
		s.pos++
	}
	s.bad = s.bad || s.pos >= len(s.src)
	s.pos++
}
