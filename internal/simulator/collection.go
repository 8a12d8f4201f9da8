package simulator

import (
	"encoding/json"
	"maps"
	"slices"
	"time"
)

// collection is a named list of rows that messages can refer to.
type collection struct {
	id   int64
	name string
	content
	writes           int64 // of its content
	created, updated time.Time
}

// content is what a collection holds, and what that takes.
type content struct {
	rows  []json.RawMessage // without insignificant space
	bytes int
}

// readContent reads the rows of a collection within the limits. A row ends with
// a newline in the count: so it comes to the 296 bytes of Customer.io's own
// example. Customer.io docs: App API, collections.
func readContent(raw json.RawMessage) (c content, inv *invalid) {
	list, err := elements(raw)
	if err != nil {
		return c, bad("data", "data %s", err)
	}
	c.rows = make([]json.RawMessage, len(list))
	for i, row := range list {
		if _, err := members(row); err != nil {
			return c, bad("data", "row %d %s", i, err)
		}
		c.rows[i] = json.RawMessage(compact(row))
		if n := len(c.rows[i]); n > maxRowBytes {
			return c, bad("data", "row %d of %d bytes is larger than %d", i, n, maxRowBytes)
		}
		c.bytes += len(c.rows[i]) + 1
	}
	if c.bytes > maxCollectionBytes {
		return c, bad("data", "a collection of %d bytes is larger than %d", c.bytes, maxCollectionBytes)
	}
	return c, nil
}

// schema lists the top-level keys of the rows.
func (c *content) schema() []string {
	keys := make(map[string]struct{})
	for _, row := range c.rows {
		list, err := members(row)
		if err != nil {
			panic("simulator: a stored row is no object: " + err.Error())
		}
		for _, m := range list {
			keys[m.key] = struct{}{}
		}
	}
	return append([]string{}, slices.Sorted(maps.Keys(keys))...)
}

func (c *collection) replace(with content, now time.Time) {
	c.content = with
	c.writes++
	c.updated = now
}

func (w *workspace) createCollection(name string, with content, now time.Time) *collection {
	w.collectionIDs++
	c := &collection{id: w.collectionIDs, name: name, created: now}
	c.replace(with, now)
	w.collections[c.id] = c
	return c
}

// Collection is one collection.
type Collection struct {
	ID   int64             `json:"id"`
	Name string            `json:"name"`
	Rows []json.RawMessage `json:"rows"`
	// Bytes is its size as Customer.io tells it.
	Bytes int `json:"bytes"`
	// Writes is how often its content was written.
	Writes  int64     `json:"writes"`
	Updated time.Time `json:"updated"`
}

// everyCollection lists the collections, by id.
func (s *store) everyCollection() []*collection { return byNumber(s.collections) }

func (c *collection) public() Collection {
	return Collection{c.id, c.name, slices.Clone(c.rows), c.bytes, c.writes, c.updated}
}

// byNumber lists what has numbers in their order.
func byNumber[T any](all map[int64]T) []T {
	list := make([]T, 0, len(all))
	for _, id := range slices.Sorted(maps.Keys(all)) {
		list = append(list, all[id])
	}
	return list
}
