package simulator

import (
	"net/http"
	"strings"
)

// appObjectTypes answers GET /v1/object_types.
// Customer.io docs: App API, list object types.
func (w *workspace) appObjectTypes() *reply {
	type appType struct {
		ID           string `json:"id"`
		Name         string `json:"name"`
		SingularName string `json:"singular_name"`
		Slug         string `json:"slug"`
		SingularSlug string `json:"singular_slug"`
		Enabled      bool   `json:"enabled"`
		Icon         string `json:"icon"`
	}
	list := []appType{}
	for _, id := range w.settings.ObjectTypes {
		list = append(list, appType{id, "Objects " + id, "Object " + id, "objects-" + id, "object-" + id, true, "company"})
	}
	return jsonReply(http.StatusOK, encode(map[string]any{"types": list}))
}

// appOfObject answers for the object of
// GET /v1/objects/{object_type_id}/{object_id}/…?id_type=.
func (w *workspace) appOfObject(c *call, typeID, id string, answer func(*call, *object) *reply) *reply {
	a := address{kindObject, typeID + "/" + id}
	switch c.query.Get("id_type") {
	case "", "object_id":
	case "cio_object_id":
		a = address{kindCioObject, id}
	default:
		return errorReply(c, http.StatusBadRequest, "", "id_type must be object_id or cio_object_id")
	}
	if o := w.objects[a]; o != nil && o.typeID == typeID && !strings.Contains(typeID, "/") {
		return answer(c, o)
	}
	return notFound(c)
}

func (o *object) identifiers() map[string]string {
	return map[string]string{"object_id": o.id, "cio_object_id": o.cioID}
}

// appObjectAttributes answers GET …/attributes.
// Customer.io docs: App API, get object attributes.
func (w *workspace) appObjectAttributes(_ *call, o *object) *reply {
	attributes, timestamps := make(map[string]string), make(map[string]int64)
	o.attributes.shown(attributes, timestamps)
	return jsonReply(http.StatusOK, encode(map[string]any{"object": map[string]any{
		"object_type_id": o.typeID, "identifiers": o.identifiers(), "attributes": attributes, "timestamps": timestamps,
	}}))
}

// appObjectRelationships answers GET …/relationships.
// Customer.io docs: App API, get object relationships.
func (w *workspace) appObjectRelationships(c *call, o *object) *reply {
	page, next, bad := paged(c, o.related(), (*person).cioID, 100, 1000)
	if bad != nil {
		return bad
	}
	list := []appRelationship{}
	for _, p := range page {
		list = append(list, o.appRelationship(o.people[p], w.allowedIdentifiersOf(p)))
	}
	return jsonReply(http.StatusOK, encode(map[string]any{"cio_relationships": list, "next": next}))
}
