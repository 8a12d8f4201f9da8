package simulator

import (
	"fmt"
	"strings"
	"testing"
)

// TestV1 makes the requests that the official clients make.
func TestV1(t *testing.T) {
	c := newClient(t, func(s *Settings) { s.NonULID = "accept" })
	for _, r := range []struct{ method, path, body string }{
		{"PUT", "/api/v1/customers/1", `{"email":"a@b.c","plan":"pro","gone":null,"_timestamp":100}`},
		{"PUT", "/api/v1/customers/a%40b.c", `{"n":1,"_update":true}`},
		{"PUT", "/api/v1/customers/cio_a3000001", `{"id":"2"}`},
		{"POST", "/api/v1/customers/2/events", `{"name":"bought","data":{"price":1},"timestamp":5,"id":"evt_1","type":"event"}`},
		{"POST", "/api/v1/customers/2/events", `{"name":"/home","type":"page"}`},
		{"PUT", "/api/v1/customers/2/devices", `{"device":{"id":"t/1","platform":"ios","last_used":"7"}}`},
		{"PUT", "/api/v1/customers/2/devices", `{"device":{"id":"t2","platform":"android"}}`},
		{"DELETE", "/api/v1/customers/2/devices/t%2F1", ``},
		{"PUT", "/api/v1/customers/3", `{}`},
		{"DELETE", "/api/v1/customers/3", ``},
		{"POST", "/api/v1/customers/4/suppress", ``},
		{"POST", "/api/v1/customers/4/unsuppress", `{}`},
		{"PUT", "/api/v1/customers/nobody", `{"_update":true}`},
		{"PUT", "/api/v1/customers/2", `{"cio_relationships":{"action":"add_relationships","relationships":[{"identifiers":{"object_type_id":"1","object_id":"acme"},"relationship_attributes":{"role":"x"}},{"identifiers":{"object_type_id":"1","object_id":"gone"}}]}}`},
		{"PUT", "/api/v1/customers/2", `{"cio_relationships":{"action":"delete_relationships","relationships":[{"identifiers":{"object_type_id":"1","object_id":"gone"}}]}}`},
	} {
		if status, body := c.do(r.method, r.path, r.body); status != 200 || body != "{}\n" {
			t.Errorf("%s %s: %d %s", r.method, r.path, status, body)
		}
	}
	s := c.State("")
	equal(t, "people", people(s), `id:2 email:a@b.c n=1 plan="pro"`)
	equal(t, "timestamp", s.People[0].Attributes["plan"].Timestamp, 100)
	equal(t, "device", s.People[0].Devices[0].Token, "t2")
	equal(t, "events", text(s.Events[0].Name, string(s.Events[0].Data), s.Events[0].ID, s.Events[1].Kind), `bought {"price":1} evt_1 page`)
	equal(t, "objects", objects(s), `1/acme ghost (id:2 role="x"); 1/gone ghost`)
	equal(t, "miss", text(s.FailedAttributeChanges[0].Person, s.Drops[DropUpdateOnlyMiss]), "id:nobody 1")
}

func TestV1Refusals(t *testing.T) {
	c := newClient(t)
	for _, r := range []struct {
		method, path, body string
		status             int
		message            string
	}{
		{"PUT", "/api/v1/customers/1", `{`, 400, "malformed JSON"},
		{"PUT", "/api/v1/customers/1", `[]`, 400, "the body must be an object"},
		{"PUT", "/api/v1/customers/1", `{"id":1}`, 400, "id attribute must be a string value"},
		{"PUT", "/api/v1/customers/" + x(151), `{}`, 400, "id cannot be longer than 150 bytes"},
		{"PUT", "/api/v1/customers/1", `{"cio_relationships":{}}`, 400, "action must be add_relationships or delete_relationships"},
		{"PUT", "/api/v1/customers/1", `{"cio_relationships":[]}`, 400, "cio_relationships must be an object"},
		{"PUT", "/api/v1/customers/1", `{"cio_relationships":{"action":"add_relationships"}}`, 400, "cio_relationships.relationships is required"},
		{"PUT", "/api/v1/customers/1", `{"cio_relationships":{"action":"add_relationships","relationships":{}}}`, 400, "cio_relationships.relationships must be an array"},
		{"POST", "/api/v1/customers/1/events", `{"name":"a","data":[]}`, 400, "event data must be an object"},
		{"POST", "/api/v1/customers/1/events", `{"name":"a","type":"z"}`, 400, "type must be event, page or screen"},
		{"POST", "/api/v1/customers/1/events", `{"name":"a","data":{"a":"` + x(100_000) + `"}}`, 400, "event data cannot be longer than 100000 bytes"},
		{"PUT", "/api/v1/customers/1/devices", `{"device":{"token":"t","platform":"ios"}}`, 400, "device.id is required"},
		{"POST", "/api/v1/events", `{"name":"a"}`, 400, "events: not simulated yet"},
		{"GET", "/api/v1/segments/1/add_customers", `{}`, 404, "no such endpoint"},
		{"POST", "/api/v1/segments/1/explode", `{}`, 404, "no such endpoint"},
		{"POST", "/api/v1/forms/1/submit", `{}`, 400, "forms/1/submit: not simulated yet"},
		{"POST", "/api/v1/customers/1/explode", ``, 404, "no such endpoint"},
		{"GET", "/api/v1/customers/1", ``, 404, "no such endpoint"},
		{"GET", "/api/v3/x", ``, 404, "no such endpoint"},
	} {
		status, body := c.do(r.method, r.path, r.body)
		if status != r.status || !strings.Contains(body, `"`+r.message) || strings.HasPrefix(r.path, "/api/v1/") && !strings.HasPrefix(body, `{"meta":{"errors":[`) {
			t.Errorf("%s %.60s: %d %s", r.method, r.path, status, body)
		}
	}
	equal(t, "operations", c.State("").Counters.Operations, 0)
	equal(t, "not simulated", c.State("").Notices[NoticeNotSimulatedYet], 2)

	fits := `{"name":"a","data":{"a":"` + x(99_992) + `"}}`
	status, body := c.do("POST", "/api/v1/customers/1/events", fits)
	equal(t, body, status, 200)
	equal(t, "data", len(c.State("").Events[0].Data), 100_000)
	if err := c.Configure("", func(s *Settings) { s.OverLimit = "drop" }); err != nil {
		t.Fatal(err)
	}
	status, _ = c.do("PUT", "/api/v1/customers/"+x(151), `{}`)
	equal(t, "dropped", text(status, c.State("").Drops[DropOverLimit]), "200 1")
}

// TestV1Address is how v1 guesses what a path names.
func TestV1Address(t *testing.T) {
	for _, c := range []struct{ identifiers, value, want string }{
		{"id+email", "42", "id:42"},
		{"id+email", "a@b.c", "email:a@b.c"},
		{"id+email", "cio_a1", "cio_id:a1"},
		{"id+email", "+4930", "id:+4930"},
		{"id", "a@b.c", "id:a@b.c"},
		{"email", "a", "email:a"},
	} {
		tr := &track{settings: Settings{Identifiers: c.identifiers}}
		equal(t, fmt.Sprint(c.identifiers, " ", c.value), tr.v1Address(c.value).String(), c.want)
	}
}
