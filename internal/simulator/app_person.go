package simulator

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// identifiersOf is how the App API names a person it found by address: what is
// not there is null.
func (w *workspace) identifiersOf(p *person) map[string]*string {
	cioID, id, email := p.cioID(), p.identifiers[kindID].value, w.emailOf(p)
	ids := map[string]*string{"cio_id": &cioID, "id": nil, "email": nil}
	if id != "" {
		ids["id"] = &id
	}
	if email != "" {
		ids["email"] = &email
	}
	return ids
}

// allowedIdentifiersOf is how all else in the App API does. Customer.io docs:
// App API, workspaces where addresses are no identifiers have no such key.
func (w *workspace) allowedIdentifiersOf(p *person) map[string]*string {
	ids := w.identifiersOf(p)
	if !w.settings.identifies(kindEmail) {
		delete(ids, "email")
	}
	return ids
}

// emailOf is a person's address, whether or not it identifies people here.
func (w *workspace) emailOf(p *person) string {
	if v := p.identifiers[kindEmail].value; v != "" {
		return v
	}
	if a := p.attributes["email"]; a != nil {
		v, _ := asString([]byte(a.value))
		return v
	}
	return ""
}

// appLookup answers GET /v1/customers?email=. Without ids that identify by
// address several people can have one. Customer.io docs: App API, get
// customers by email.
func (w *workspace) appLookup(c *call) *reply {
	email := c.query.Get("email")
	if email == "" {
		return errorReply(c, http.StatusBadRequest, "", "email is required")
	}
	results := []map[string]*string{}
	if w.settings.identifies(kindEmail) {
		if p := w.find(address{kindEmail, email}); p != nil {
			results = append(results, w.identifiersOf(p))
		}
	} else {
		for _, p := range w.everyone() {
			if strings.EqualFold(w.emailOf(p), email) {
				results = append(results, w.identifiersOf(p))
			}
		}
	}
	return jsonReply(http.StatusOK, encode(map[string]any{"results": results}))
}

// appOfPerson answers for the person of GET /v1/customers/{value}/…?id_type=; a
// cio_id carries the prefix "cio_" here.
// Customer.io docs: App API, look up a customer's attributes.
func (w *workspace) appOfPerson(c *call, value string, answer func(*call, *person) *reply) *reply {
	a := address{kindID, value}
	switch idType := c.query.Get("id_type"); idType {
	case "", "id":
	case "email":
		a.kind = kindEmail
	case "phone":
		a.kind = kindPhone
	case "cio_id":
		a.kind = kindCioID
		var ok bool
		if a.value, ok = strings.CutPrefix(value, "cio_"); !ok {
			a.value = ""
		}
	default:
		return errorReply(c, http.StatusBadRequest, "", "id_type must be id, email, phone or cio_id")
	}
	if !w.settings.identifies(a.kind) {
		return errorReply(c, http.StatusBadRequest, "", a.kind.String()+" is not an identifier in this workspace")
	}
	if p := w.find(a); p != nil {
		return answer(c, p)
	}
	return notFound(c)
}

// appAttributes answers GET …/attributes. Every value is a string.
func (w *workspace) appAttributes(_ *call, p *person) *reply {
	attributes, timestamps := make(map[string]string), make(map[string]int64)
	for k := range p.identifiers {
		if id := p.identifiers[k]; id.value != "" {
			attributes[kind(k).String()], timestamps[kind(k).String()] = id.value, id.timestamp
		}
	}
	attributes["_created_in_customerio_at"] = strconv.FormatInt(p.created.Unix(), 10)
	p.attributes.shown(attributes, timestamps)
	type appDevice struct {
		ID         string            `json:"id"`
		Platform   string            `json:"platform"`
		LastUsed   int64             `json:"last_used"`
		Attributes map[string]string `json:"attributes"`
	}
	devices := []appDevice{}
	for _, d := range p.publicDevices() {
		devices = append(devices, appDevice{d.Token, d.Platform, d.LastUsed, d.Attributes})
	}
	return jsonReply(http.StatusOK, encode(map[string]any{"customer": map[string]any{
		"id":           p.identifiers[kindID].value,
		"identifiers":  w.allowedIdentifiersOf(p),
		"attributes":   attributes,
		"timestamps":   timestamps,
		"unsubscribed": p.unsubscribed(),
		"devices":      devices,
	}}))
}

// shown writes attributes as the App API shows them: as strings.
// Customer.io docs: App API, customer attributes.
func (set attributes) shown(values map[string]string, timestamps map[string]int64) {
	for name, a := range set {
		if a.value != "" {
			values[name], timestamps[name] = stringify(a.value), a.newest().timestamp
		}
	}
}

// appSegmentsOf answers GET …/segments.
// Customer.io docs: App API, look up a customer's segments.
func (w *workspace) appSegmentsOf(_ *call, p *person) *reply {
	type short struct {
		ID          int64  `json:"id"`
		Name        string `json:"name"`
		Description string `json:"description"`
	}
	list := []short{}
	for _, s := range w.everySegment() {
		if _, in := s.members[p]; in {
			list = append(list, short{s.id, s.name, s.description})
		}
	}
	return jsonReply(http.StatusOK, encode(map[string]any{"segments": list}))
}

// appRelationship is one relationship as the App API shows it. The identifiers
// are those of the other side.
type appRelationship struct {
	Type        string            `json:"object_type_id"`
	Disabled    bool              `json:"object_type_disabled"`
	Identifiers any               `json:"identifiers"`
	Attributes  map[string]string `json:"attributes"`
	Timestamps  map[string]int64  `json:"timestamps"`
}

func (o *object) appRelationship(r *relationship, identifiers any) appRelationship {
	out := appRelationship{o.typeID, false, identifiers, make(map[string]string), make(map[string]int64)}
	r.attributes.shown(out.Attributes, out.Timestamps)
	return out
}

// appRelationshipsOf answers GET …/relationships.
// Customer.io docs: App API, look up a customer's relationships.
func (w *workspace) appRelationshipsOf(c *call, p *person) *reply {
	objects := p.objects()
	slices.SortFunc(objects, func(a, b *object) int { return cmp.Compare(a.cioID, b.cioID) })
	page, next, bad := paged(c, objects, func(o *object) string { return o.cioID }, 100, 1000)
	if bad != nil {
		return bad
	}
	list := []appRelationship{}
	for _, o := range page {
		list = append(list, o.appRelationship(p.relationships[o], o.identifiers()))
	}
	return jsonReply(http.StatusOK, encode(map[string]any{"cio_relationships": list, "next": next}))
}

// unsubscribed reads the attribute of that name: true, 1, "1" and "true" in any
// case mean yes. Customer.io docs: reserved attributes.
func (p *person) unsubscribed() bool {
	a := p.attributes["unsubscribed"]
	if a == nil {
		return false
	}
	v := strings.ToLower(stringify(a.value))
	return v == "true" || v == "1"
}
