package strict

import (
	"errors"
	"regexp"
	"strings"

	"github.com/BurntSushi/toml"
)

// Document is a TOML file and what has been found wrong with it.
type Document struct {
	file     string
	root     map[string]any
	marks    map[string]mark
	unset    map[string]bool // paths of keys that name a variable which is not set
	problems Problems
}

// unquoted leaves out what the parser quotes of the file: it may be a secret
// whose quotes were forgotten.
func unquoted(message string) string {
	return regexp.MustCompile(`found "[^"]*" instead`).ReplaceAllString(message, "found something else (are quotes missing?)")
}

// Open decodes a file's source. What is wrong with its syntax is a problem, and
// the document is then empty.
func Open(file string, source []byte) *Document {
	d := &Document{file: file, root: map[string]any{}, unset: map[string]bool{}}
	if _, err := toml.Decode(string(source), &d.root); err != nil {
		d.root = map[string]any{}
		p := Place{File: file}
		message := err.Error()
		var syntax toml.ParseError
		if errors.As(err, &syntax) {
			p.Line = syntax.Position.Line
			message = unquoted(syntax.Message)
			if syntax.LastKey != "" {
				p.Key = syntax.LastKey
			}
		}
		d.Add(p.Problem("", "%s", strings.TrimPrefix(message, "toml: ")))
		return d
	}
	d.marks = locate(source)
	return d
}

// Root is the document's top table.
func (d *Document) Root() *Table {
	return &Table{doc: d, values: d.root, asked: map[string]bool{}}
}

// Add records a problem.
func (d *Document) Add(p Problem) { d.problems = append(d.problems, p) }

// Problems are all problems found so far, in the order of the file.
func (d *Document) Problems() Problems {
	p := append(Problems(nil), d.problems...)
	p.Sort()
	return p
}
