package simulator

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"
)

// app is a collection as the App API shows it: without its rows.
// Customer.io docs: App API, collections.
func (c *collection) app() any {
	return struct {
		Bytes   int      `json:"bytes"`
		Created int64    `json:"created_at"`
		Updated int64    `json:"updated_at"`
		ID      int64    `json:"id"`
		Name    string   `json:"name"`
		Rows    int      `json:"rows"`
		Schema  []string `json:"schema"`
	}{c.bytes, c.created.Unix(), c.updated.Unix(), c.id, c.name, len(c.rows), c.schema()}
}

// appCollections answers GET /v1/collections, which has no pages.
func (w *workspace) appCollections() *reply {
	list := []any{}
	for _, c := range w.everyCollection() {
		list = append(list, c.app())
	}
	return jsonReply(http.StatusOK, encode(map[string]any{"collections": list}))
}

// appCollection answers GET /v1/collections/{id}.
func (w *workspace) appCollection(_ *call, of *collection) *reply {
	return jsonReply(http.StatusOK, encode(map[string]any{"collection": of.app()}))
}

// appCollectionContent answers GET …/content.
func (w *workspace) appCollectionContent(_ *call, of *collection) *reply {
	if w.settings.CollectionContent == "array" {
		return jsonReply(http.StatusOK, encode(append([]json.RawMessage{}, of.rows...)))
	}
	var lines [][]byte
	for _, row := range of.rows {
		lines = append(lines, row)
	}
	return jsonReply(http.StatusOK, bytes.Join(lines, []byte{'\n'}))
}

// collectionBody is what creates or changes a collection.
type collectionBody struct {
	name string // "" when there is none
	data *content
}

func (w *workspace) readCollection(c *call) (b collectionBody, refused *reply) {
	fields, refused := appBody(c)
	if refused != nil {
		return b, refused
	}
	for _, m := range fields {
		switch m.key {
		case "name":
			var ok bool
			if b.name, ok = asString(m.value); !ok || strings.TrimSpace(b.name) == "" {
				return b, appInvalid(c, bad("name", "name must be a string and cannot be empty"))
			}
		case "data":
			data, inv := readContent(m.value)
			if inv != nil {
				return b, appInvalid(c, inv)
			}
			b.data = &data
		case "url":
			w.notice(NoticeNotSimulatedYet)
			return b, errorReply(c, http.StatusNotImplemented, "", "collections by url: not simulated yet")
		default:
			w.notice(NoticeUnknownField)
		}
	}
	return b, nil
}

// named finds another collection of that name where there must be none.
func (w *workspace) named(name string, except *collection) bool {
	for _, c := range w.collections {
		if c != except && c.name == name && w.settings.DuplicateNames == "reject" {
			return true
		}
	}
	return false
}

// appCreateCollection answers POST /v1/collections.
func (w *workspace) appCreateCollection(c *call, now time.Time) *reply {
	b, refused := w.readCollection(c)
	switch {
	case refused != nil:
		return refused
	case b.name == "":
		return appInvalid(c, missing("name"))
	case b.data == nil:
		return appInvalid(c, missing("data"))
	case w.named(b.name, nil):
		return appInvalid(c, bad("name", "there is a collection of that name"))
	case len(w.collections) >= maxCollections:
		return appInvalid(c, bad("", "a workspace cannot hold more than %d collections", maxCollections))
	}
	return w.appCollection(c, w.createCollection(b.name, *b.data, now))
}

// appChangeCollection answers PUT /v1/collections/{id}: a new name, new rows
// instead of all there were, or both.
func (w *workspace) appChangeCollection(c *call, of *collection, now time.Time) *reply {
	b, refused := w.readCollection(c)
	switch {
	case refused != nil:
		return refused
	case b.name == "" && b.data == nil:
		return appInvalid(c, bad("", "neither name nor data to change"))
	case b.name != "" && w.named(b.name, of):
		return appInvalid(c, bad("name", "there is a collection of that name"))
	}
	if b.name != "" && b.name != of.name {
		of.name, of.updated = b.name, now
		w.notice(NoticeCollectionRenamed)
	}
	if b.data != nil {
		of.replace(*b.data, now)
	}
	return w.appCollection(c, of)
}

// appPutContent answers PUT …/content, instead of all rows: an array of them as
// the official client sends it, or one object as the docs have it.
func (w *workspace) appPutContent(c *call, of *collection, now time.Time) *reply {
	if !wellFormed(c.body) {
		return errorReply(c, http.StatusBadRequest, "", "malformed JSON")
	}
	body := bytes.TrimSpace(c.body)
	if isObject(body) {
		body = slices.Concat([]byte{'['}, body, []byte{']'})
	}
	data, inv := readContent(body)
	if inv != nil {
		return appInvalid(c, inv)
	}
	of.replace(data, now)
	return w.appCollection(c, of)
}

// appDeleteCollection answers DELETE /v1/collections/{id}.
func (w *workspace) appDeleteCollection(_ *call, of *collection) *reply {
	delete(w.collections, of.id)
	return &reply{status: http.StatusNoContent}
}
