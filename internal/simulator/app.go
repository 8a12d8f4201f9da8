package simulator

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// routeApp answers a request to the App API. What it shows is applied.
func (s *Simulator) routeApp(c *call, w *workspace) *reply {
	if w == nil {
		return errorReply(c, http.StatusUnauthorized, "", "unauthorized")
	}
	var r *reply
	w.look(c.now, func() {
		if limit := w.settings.AppPerSecond; !w.appRate.allow(c.now, limit) {
			// Customer.io docs: App API, rate limit, with Retry-After in seconds.
			r = errorReply(c, http.StatusTooManyRequests, "",
				fmt.Sprintf("rate limited to %d requests per 1s (reference %d)", limit, c.n))
			r.set("Retry-After", "1")
			return
		}
		if c.method != http.MethodGet {
			w.notice(NoticeNotSimulatedYet)
			r = errorReply(c, http.StatusNotImplemented, "", c.method+" "+c.path+": not simulated yet")
			return
		}
		path := unescape(c.path)
		switch {
		case c.path == "/v1/customers":
			r = w.appLookup(c)
		case c.path == "/v1/activities":
			r = w.appActivities(c)
		case len(path) == 4 && path[0] == "v1" && path[1] == "customers" && path[3] == "attributes":
			r = w.appAttributes(c, path[2])
		default:
			w.notice(NoticeNotSimulatedYet)
			r = errorReply(c, http.StatusNotFound, "", "not found (not simulated yet)")
		}
	})
	return r
}

// identifiersOf is how the App API names a person: what is not there is null.
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

// appAttributes answers GET /v1/customers/{value}/attributes?id_type=. Every
// value is a string. Customer.io docs: App API, look up a customer's
// attributes; a cio_id carries the prefix "cio_" here.
func (w *workspace) appAttributes(c *call, value string) *reply {
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
	p := w.find(a)
	if p == nil {
		return errorReply(c, http.StatusNotFound, "", "not found (reference "+strconv.FormatInt(c.n, 10)+")")
	}
	ids := w.identifiersOf(p)
	if !w.settings.identifies(kindEmail) {
		delete(ids, "email") // Customer.io docs: App API, workspaces without it have no such key
	}
	attributes, timestamps := make(map[string]string), make(map[string]int64)
	for k := range p.identifiers {
		if id := p.identifiers[k]; id.value != "" {
			attributes[kind(k).String()], timestamps[kind(k).String()] = id.value, id.timestamp
		}
	}
	attributes["_created_in_customerio_at"] = strconv.FormatInt(p.created.Unix(), 10)
	for name, at := range p.attributes {
		if at.value != "" {
			attributes[name], timestamps[name] = stringify(at.value), at.newest().timestamp
		}
	}
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
		"identifiers":  ids,
		"attributes":   attributes,
		"timestamps":   timestamps,
		"unsubscribed": p.unsubscribed(),
		"devices":      devices,
	}}))
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

// appActivities answers GET /v1/activities, newest first. Of all types, only
// failed_attribute_change is recorded. Customer.io docs: App API, activities.
func (w *workspace) appActivities(c *call) *reply {
	limit := 10
	if text := c.query.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > 100 {
			return errorReply(c, http.StatusBadRequest, "", "limit must be from 1 to 100")
		}
		limit = n
	}
	before := len(w.failed)
	if start := c.query.Get("start"); start != "" {
		n, err := strconv.ParseInt(start, 36, 32)
		if err != nil || int(n) > before || n < 0 {
			return errorReply(c, http.StatusBadRequest, "", "start is no token of this list")
		}
		before = int(n)
	}
	type activity struct {
		ID                  string            `json:"id"`
		Type                string            `json:"type"`
		Timestamp           int64             `json:"timestamp"`
		CustomerID          string            `json:"customer_id"`
		CustomerIdentifiers map[string]string `json:"customer_identifiers"`
		Data                map[string]string `json:"data"`
	}
	list, next := []activity{}, ""
	if t := c.query.Get("type"); t == "" || t == "failed_attribute_change" {
		i := before - 1
		for ; i >= 0 && len(list) < limit; i-- {
			f := w.failed[i]
			list = append(list, activity{
				ID: fmt.Sprintf("fac%06d", i+1), Type: "failed_attribute_change", Timestamp: f.At.Truncate(time.Second).Unix(),
				CustomerID:          f.id,
				CustomerIdentifiers: map[string]string{"id": f.id, "email": f.email, "cio_id": f.CioID},
				Data:                map[string]string{f.Field: f.Value, "reason": f.Reason},
			})
		}
		if i >= 0 {
			next = strconv.FormatInt(int64(i+1), 36)
		}
	}
	return jsonReply(http.StatusOK, encode(map[string]any{"activities": list, "next": next}))
}
