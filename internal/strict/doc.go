// Package strict reads a TOML document without forgiving anything: an unknown
// key, a wrong type, a missing value are problems, and all of them are
// gathered, so that a user repairs a file once.
//
// Open decodes the source and finds the line of every key. A Table hands out
// values by typed getters and remembers which keys were asked for; Done then
// reports the keys nobody asked for, each with the nearest key that somebody
// did. So the reader's code is the grammar, and there is no second list of
// keys to keep in step with it.
//
//	doc := strict.Open("pgcio.toml", source)
//	root := doc.Root()
//	path, _ := root.Table("state").String("path")
//	root.Done()
//	return doc.Problems()
//
// A getter whose key is absent returns false; one whose value is of the wrong
// type records the problem and returns false as well. Getters may be called on
// a nil *Table (a section that is absent): they return false.
package strict
