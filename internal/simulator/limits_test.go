package simulator

import (
	"fmt"
	"strings"
	"testing"
)

func x(n int) string { return strings.Repeat("x", n) }

// TestLimits sends what just fits and what just does not.
func TestLimits(t *testing.T) {
	many := func(n int) string {
		var list []string
		for i := range n {
			list = append(list, fmt.Sprintf(`"a%d":1`, i))
		}
		return "{" + strings.Join(list, ",") + "}"
	}
	id := func(n int) string { return `{"id":"` + x(n) + `"}` }
	size := func(n int) string {
		head := `{"type":"person","action":"event","identifiers":{"id":"1"},"name":"x","attributes":{"a":"`
		return head + x(n-len(head)-len(`"}}`)) + `"}}`
	}
	one := `{"id":"1"}`
	for _, c := range []struct {
		name, fits, not, field string
	}{
		{"item", size(32_000), size(32_001), ""},
		{"id", asks("delete", id(150), ""), asks("delete", id(151), ""), "identifiers.id"},
		{"id in bytes", asks("delete", `{"id":"`+strings.Repeat("é", 75)+`"}`, ""), asks("delete", `{"id":"`+strings.Repeat("é", 76)+`"}`, ""), "identifiers.id"},
		{"id among attributes", identifyItem(`{"email":"a@b.c"}`, id(150), 0), identifyItem(`{"email":"a@b.c"}`, id(151), 0), "attributes.id"},
		{"attribute name", identifyItem(one, `{"`+x(150)+`":1}`, 0), identifyItem(one, `{"`+x(151)+`":1}`, 0), "attributes." + x(151)},
		{"string value", identifyItem(one, `{"a":"`+x(1000)+`"}`, 0), identifyItem(one, `{"a":"`+x(1001)+`"}`, 0), "attributes.a"},
		{"string value in bytes", identifyItem(one, `{"a":"`+strings.Repeat("é", 500)+`"}`, 0), identifyItem(one, `{"a":"`+strings.Repeat("é", 501)+`"}`, 0), "attributes.a"},
		{"escapes count once", identifyItem(one, `{"a":"`+strings.Repeat(`\n`, 1000)+`"}`, 0), identifyItem(one, `{"a":"`+strings.Repeat(`\n`, 1001)+`"}`, 0), "attributes.a"},
		{"nested value", identifyItem(one, `{"a":["`+x(996)+`"]}`, 0), identifyItem(one, `{"a":["`+x(997)+`"]}`, 0), "attributes.a"},
		{"nested value without space", identifyItem(one, `{"a":[ "`+x(996)+`" ]}`, 0), identifyItem(one, `{"a":[ "`+x(997)+`" ]}`, 0), "attributes.a"},
		{"attributes", identifyItem(one, many(300), 0), identifyItem(one, many(301), 0), "attributes"},
		{"event name", asks("event", one, `"name":" `+x(100)+` "`), asks("event", one, `"name":"`+x(101)+`"`), "name"},
		{"event values have none", asks("event", one, `"name":"a","attributes":{"a":"`+x(20_000)+`"}`), size(32_001), ""},
		{"object id", ofObject("delete", objectID("1", x(150)), ""), ofObject("delete", objectID("1", x(151)), ""), "identifiers.object_id"},
		{"object id in bytes", ofObject("delete", objectID("1", strings.Repeat("é", 75)), ""), ofObject("delete", objectID("1", strings.Repeat("é", 76)), ""), "identifiers.object_id"},
		{"object value", ofObject("identify", acme, `"attributes":{"a":"`+x(1000)+`"}`), ofObject("identify", acme, `"attributes":{"a":"`+x(1001)+`"}`), "attributes.a"},
		{"object attributes", ofObject("identify", acme, `"attributes":`+many(300)), ofObject("identify", acme, `"attributes":`+many(301)), "attributes"},
		{"relationship value", relates(one, acme, `{"a":"`+x(1000)+`"}`), relates(one, acme, `{"a":"`+x(1001)+`"}`), "cio_relationships.0.relationship_attributes.a"},
		{"relationship name", relates(one, acme, `{"`+x(150)+`":1}`), relates(one, acme, `{"`+x(151)+`":1}`), "cio_relationships.0.relationship_attributes." + x(151)},
		{"relationship attributes", relates(one, acme, many(300)), relates(one, acme, many(301)), "cio_relationships.0.relationship_attributes"},
		{"device value", asks("add_device", one, `"device":{"token":"t","platform":"ios","attributes":{"a":"`+x(1000)+`"}}`),
			asks("add_device", one, `"device":{"token":"t","platform":"ios","attributes":{"a":"`+x(1001)+`"}}`), "device.attributes.a"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cl := newClient(t)
			if status, body := cl.batch(c.fits); status != 200 {
				t.Errorf("what fits: %d %s", status, body)
			}
			status, body := cl.batch(c.fits, c.not)
			var answer struct {
				Errors []struct {
					Index         int `json:"batch_index"`
					Reason, Field string
				}
			}
			decode(t, body, &answer)
			if status != 207 || len(answer.Errors) != 1 || answer.Errors[0].Index != 1 || answer.Errors[0].Field != c.field {
				t.Errorf("what does not: %d %s", status, body)
			}
			if err := cl.Configure("", func(s *Settings) { s.OverLimit = "drop" }); err != nil {
				t.Fatal(err)
			}
			if status, body := cl.batch(c.not); status != 200 || body != "{}\n" {
				t.Errorf("what is to be dropped: %d %s", status, body)
			}
			equal(t, "drops", cl.State("").Drops[DropOverLimit], 1)
			equal(t, "operations", cl.State("").Counters.Operations, 2)
		})
	}
}

func TestInvalidItems(t *testing.T) {
	one := `{"id":"1"}`
	for _, c := range []struct{ name, item, want string }{
		{"no object", `1`, "invalid  an item must be an object"},
		{"no type", `{"action":"delete"}`, "required type"},
		{"no action", `{"type":"person"}`, "required action"},
		{"key twice", `{"type":"person","type":"person","action":"delete"}`, "invalid  an item has the same key twice"},
		{"keys have a case", `{"Type":"person","action":"delete","identifiers":{"id":"1"}}`, "required type"},
		{"type", `{"type":"thing","action":"delete"}`, "invalid type"},
		{"action", asks("explode", one, ""), "invalid action"},
		{"no identifiers", `{"type":"person","action":"delete"}`, "required identifiers"},
		{"identifiers", asks("delete", `[]`, ""), "invalid identifiers"},
		{"none", asks("delete", `{}`, ""), "invalid identifiers"},
		{"two", asks("delete", `{"id":"1","email":"a@b.c"}`, ""), "invalid identifiers"},
		{"unknown", asks("delete", `{"name":"1"}`, ""), "invalid identifiers.name"},
		{"token is none", asks("delete", `{"token":"1"}`, ""), "invalid identifiers.token"},
		{"number", asks("delete", `{"id":1}`, ""), "invalid identifiers.id id attribute must be a string value"},
		{"empty", asks("delete", `{"id":" "}`, ""), "invalid identifiers.id id cannot be empty"},
		{"phone", asks("delete", `{"phone":"+1"}`, ""), "invalid identifiers.phone phone is not an identifier"},
		{"id attribute a number", identifyItem(one, `{"id":1}`, 0), "invalid attributes.id"},
		{"id attribute empty", identifyItem(one, `{"id":""}`, 0), "invalid attributes.id"},
		{"email a number", identifyItem(one, `{"email":1}`, 0), "invalid attributes.email"},
		{"_update a string", identifyItem(one, `{"_update":"true"}`, 0), "invalid attributes._update"},
		{"attributes an array", identifyItem(one, `[]`, 0), "invalid attributes attributes must be an object"},
		{"attribute without name", identifyItem(one, `{"":1}`, 0), "invalid attributes attribute name"},
		{"attribute twice", identifyItem(one, `{"a":1,"\u0061":2}`, 0), "invalid attributes attributes has the same key twice"},
		{"timestamp text", asks("identify", one, `"timestamp":"1"`), "invalid timestamp"},
		{"timestamp fraction", asks("identify", one, `"timestamp":1.0`), "invalid timestamp"},
		{"event without name", asks("event", one, ``), "required name"},
		{"event name blank", asks("event", one, `"name":" \t"`), "invalid name event name cannot be blank"},
		{"event data", asks("event", one, `"name":"a","attributes":"x"`), "invalid attributes event data must be an object"},
		{"event id number", asks("event", one, `"name":"a","id":1`), "invalid id"},
		{"event id", asks("event", one, `"name":"a","id":"evt_123"`), "invalid id event id must be a ULID"},
		{"no device", asks("add_device", one, ""), "required device"},
		{"no token", asks("add_device", one, `"device":{"platform":"ios"}`), "required device.token"},
		{"v1's token", asks("add_device", one, `"device":{"id":"t","platform":"ios"}`), "required device.token"},
		{"no platform", asks("add_device", one, `"device":{"token":"t"}`), "invalid device.platform"},
		{"platform", asks("add_device", one, `"device":{"token":"t","platform":"iOS"}`), "invalid device.platform"},
		{"device attribute", asks("add_device", one, `"device":{"token":"t","platform":"ios","attributes":{"a":1}}`), "invalid device.attributes.a"},
		{"push_enabled", asks("add_device", one, `"device":{"token":"t","platform":"ios","attributes":{"push_enabled":"yes"}}`), "invalid device.attributes.push_enabled"},
		{"last_used", asks("add_device", one, `"device":{"token":"t","platform":"ios","last_used":"then"}`), "invalid device.last_used"},
		{"delete without token", asks("delete_device", one, `"device":{}`), "required device.token"},
		{"object without identifiers", `{"type":"object","action":"identify"}`, "required identifiers"},
		{"object by id", ofObject("identify", `{"id":"1"}`, ""), "invalid identifiers identifiers must hold object_type_id and object_id"},
		{"object without type", ofObject("identify", `{"object_id":"a"}`, ""), "invalid identifiers identifiers must hold object_type_id and object_id"},
		{"object without id", ofObject("delete", `{"object_type_id":"1","object_id":" "}`, ""), "invalid identifiers identifiers must hold object_type_id and object_id"},
		{"object by both", ofObject("delete", `{"object_type_id":"1","object_id":"a","cio_object_id":"ob1"}`, ""), "invalid identifiers identifiers must hold object_type_id and object_id"},
		{"object id number", ofObject("identify", `{"object_type_id":"1","object_id":1}`, ""), "invalid identifiers.object_id object_id must be a string value"},
		{"object type number", ofObject("identify", `{"object_type_id":1,"object_id":"a"}`, ""), "invalid identifiers.object_type_id object_type_id must be a string value"},
		{"object type word", ofObject("identify", `{"object_type_id":"Companies","object_id":"a"}`, ""), "invalid identifiers.object_type_id object_type_id must be an integer in a string"},
		{"object type odd", ofObject("identify", `{"object_type_id":"01","object_id":"a"}`, ""), "invalid identifiers.object_type_id object_type_id must be an integer in a string"},
		{"object type unknown", ofObject("identify", `{"object_type_id":"4","object_id":"a"}`, ""), "invalid identifiers.object_type_id there is no object type 4"},
		{"object action", ofObject("event", acme, ""), "invalid action unknown action for an object"},
		{"object attributes", ofObject("identify", acme, `"attributes":[]`), "invalid attributes attributes must be an object"},
		{"object relationships", ofObject("identify", acme, `"cio_relationships":{}`), "invalid cio_relationships cio_relationships must be an array"},
		{"object relates an object", ofObject("add_relationships", acme, `"cio_relationships":[{"identifiers":`+acme+`}]`), "invalid cio_relationships.0.identifiers"},
		{"object relates by phone", ofObject("add_relationships", acme, `"cio_relationships":[{"identifiers":{"phone":"+1"}}]`), "invalid cio_relationships.0.identifiers.phone"},
		{"object relates nobody", ofObject("add_relationships", acme, `"cio_relationships":[{"identifiers":{"id":""}}]`), "invalid cio_relationships.0.identifiers.id id cannot be empty"},
		{"object relates without", ofObject("delete_relationships", acme, ""), "required cio_relationships"},
		{"object of the anonymous", ofObject("identify_anonymous", acme, `"cio_relationships":[{"identifiers":{"anonymous_id":"x"}}]`), "unsupported cio_relationships anonymous people: not simulated yet"},
		{"object relates the anonymous", ofObject("identify", acme, `"cio_relationships":[{"identifiers":{"anonymous_id":"x"}}]`), "unsupported cio_relationships.0.identifiers.anonymous_id"},
		{"delivery", `{"type":"delivery","action":"event"}`, "unsupported type delivery: not simulated yet"},
		{"merge without primary", `{"type":"person","action":"merge","secondary":{"id":"2"}}`, "required primary"},
		{"merge without secondary", `{"type":"person","action":"merge","primary":{"id":"1"}}`, "required secondary"},
		{"merge of two names", `{"type":"person","action":"merge","primary":{"id":"1","email":"a@b.c"},"secondary":{"id":"2"}}`, "invalid primary primary must hold exactly one of id, email, cio_id"},
		{"merge by phone", `{"type":"person","action":"merge","primary":{"id":"1"},"secondary":{"phone":"+1"}}`, "invalid secondary.phone"},
		{"relationships without", asks("add_relationships", one, ""), "required cio_relationships"},
		{"relationships no list", asks("add_relationships", one, `"cio_relationships":"x"`), "invalid cio_relationships cio_relationships must be an array"},
		{"relationship no object", asks("add_relationships", one, `"cio_relationships":["x"]`), "invalid cio_relationships.0 cio_relationships.0 must be an object"},
		{"relationship with nothing", asks("add_relationships", one, `"cio_relationships":[{}]`), "required cio_relationships.0.identifiers"},
		{"relationship with a person", asks("add_relationships", one, `"cio_relationships":[{"identifiers":{"id":"2"}}]`), "invalid cio_relationships.0.identifiers"},
		{"relationships inside", asks("identify", one, `"cio_relationships":[{"identifiers":{"object_type_id":"1","object_id":""}}]`), "invalid cio_relationships.0.identifiers"},
		{"relationship attributes", asks("add_relationships", one, `"cio_relationships":[{"identifiers":`+acme+`,"relationship_attributes":1}]`), "invalid cio_relationships.0.relationship_attributes"},
		{"anonymous", asks("event", `{"anonymous_id":"x"}`, `"name":"a"`), "unsupported identifiers.anonymous_id"},
		{"anonymous before", identifyItem(one, `{"anonymous_id":"x"}`, 0), "unsupported attributes.anonymous_id"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cl := newClient(t)
			type itemError struct {
				Index                  *int `json:"batch_index"`
				Reason, Field, Message string
			}
			var answer struct{ Errors []itemError }
			status, body := cl.batch(asks("delete", one, ""), c.item, asks("delete", one, ""))
			decode(t, body, &answer)
			if status != 207 || len(answer.Errors) != 1 {
				t.Fatalf("%d %s", status, body)
			}
			e := answer.Errors[0]
			if e.Index == nil || *e.Index != 1 || !strings.HasPrefix(e.Reason+" "+e.Field+" "+e.Message, c.want) {
				t.Errorf("%s, want %s", body, c.want)
			}
			status, body = cl.do("POST", "/api/v2/entity", c.item)
			answer.Errors = nil
			decode(t, body, &answer)
			if status != 400 || len(answer.Errors) != 1 || answer.Errors[0].Index != nil || answer.Errors[0].Message != e.Message {
				t.Errorf("alone: %d %s", status, body)
			}
			s := cl.State("")
			equal(t, "accepted", s.Counters.Operations, 2)
			equal(t, "invalid", s.Counters.Invalid, 2)
			if want := strings.Contains(c.want, "unsupported"); (s.Notices[NoticeNotSimulatedYet] > 0) != want {
				t.Errorf("not simulated yet: %d", s.Notices[NoticeNotSimulatedYet])
			}
		})
	}
}

// TestNoPhoneThere: even where a phone number names people, it does not in a
// merge or as the person of a relationship.
func TestNoPhoneThere(t *testing.T) {
	phone := `{"phone":"+1"}`
	c := newClient(t, func(s *Settings) { s.PhoneIdentifier = true })
	c.must(identifyItem(phone, `{}`, 0), relates(phone, acme, `{}`))
	for _, item := range []string{merges(`{"id":"1"}`, phone), merges(phone, `{"id":"1"}`), ofObject("add_relationships", acme, oneRelationship(phone, `{}`))} {
		status, body := c.do("POST", "/api/v2/entity", item)
		if status != 400 || !strings.Contains(body, "must hold exactly one of id, email, cio_id") {
			t.Errorf("%s: %d %s", item, status, body)
		}
	}
}

func TestBadRequests(t *testing.T) {
	padding := strings.Repeat(" ", 500_000)
	del := asks("delete", `{"id":"1"}`, "")
	for _, c := range []struct{ name, body, message string }{
		{"malformed", `{"batch":[` + del, "malformed JSON"},
		{"not UTF-8", "{\"batch\":[\"\xff\"]}", "malformed JSON"},
		{"empty", ``, "malformed JSON"},
		{"an array", `[` + del + `]`, "must be an object"},
		{"no batch", `{}`, "batch is required"},
		{"batch an object", `{"batch":{}}`, "batch must be an array"},
		{"too long", `{"batch":[` + del + `]}` + padding, "500000 bytes"},
		{"too many", `{"batch":[` + del + `,` + del + `,` + del + `]}`, "more than 2 items"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cl := newClient(t, func(s *Settings) { s.MaxBatchItems = 2 })
			status, body := cl.do("POST", "/api/v2/batch", c.body)
			if status != 400 || !strings.Contains(body, c.message) || strings.Contains(body, "batch_index") {
				t.Errorf("%d %s", status, body)
			}
			if err := cl.Configure("", func(s *Settings) { s.BadRequest = "drop" }); err != nil {
				t.Fatal(err)
			}
			status, body = cl.do("POST", "/api/v2/batch", c.body)
			if status != 200 || body != "{}\n" {
				t.Errorf("dropped: %d %s", status, body)
			}
			equal(t, "drops", cl.State("").Drops[DropBadRequest], 1)
			equal(t, "operations", cl.State("").Counters.Operations, 0)
		})
	}
	t.Run("just fits", func(t *testing.T) {
		body := `{"batch":[` + del + `]}`
		status, answer := newClient(t).do("POST", "/api/v2/batch", body+padding[len(body):])
		equal(t, answer, status, 200)
	})
	t.Run("empty batch", func(t *testing.T) {
		c := newClient(t)
		status, _ := c.batch()
		equal(t, "status", status, 200)
		equal(t, "noticed", c.State("").Notices[NoticeEmptyBatch], 1)
	})
	t.Run("method", func(t *testing.T) {
		status, _ := newClient(t).do("PUT", "/api/v2/batch", `{"batch":[]}`)
		equal(t, "status", status, 405)
	})
	t.Run("compressed", func(t *testing.T) {
		c := newClient(t)
		r := c.request("POST", "/api/v2/batch", `{"batch":[]}`)
		r.Header.Set("Content-Encoding", "gzip")
		status, _ := c.send(r)
		equal(t, "status", status, 400)
	})
}
