package simulator

import (
	"fmt"
	"strings"
	"testing"
)

// TestMerge is what two people have, and what the one who is left has.
func TestMerge(t *testing.T) {
	one, two := `{"id":"1"}`, `{"id":"2"}`
	for _, c := range []struct {
		name   string
		set    func(*Settings)
		asked  []string
		people string
		drop   Drop
		notice Notice
	}{
		{name: "what is unset comes over", asked: []string{identifyItem(one, `{"n":1}`, 0), identifyItem(two, `{"n":2,"plan":"x"}`, 0), merges(one, two)}, people: `id:1 n=1 plan="x"`},
		{name: "what was removed too", asked: []string{identifyItem(one, `{"n":1}`, 90), identifyItem(one, `{"n":null}`, 91), identifyItem(two, `{"n":2}`, 5), merges(one, two)}, people: `id:1 n=2`},
		{name: "what is empty too", set: func(s *Settings) { s.EmptyString = "keep" }, asked: []string{identifyItem(one, `{"n":""}`, 0), identifyItem(two, `{"n":2}`, 0), merges(one, two)}, people: `id:1 n=2`},
		{name: "an address comes over", asked: []string{identifyItem(one, `{}`, 0), identifyItem(two, `{"email":"a@b.c"}`, 0), merges(one, two)}, people: `id:1 email:a@b.c`},
		{name: "an address goes", set: func(s *Settings) { s.MergeIdentifiers = "drop" }, asked: []string{identifyItem(one, `{}`, 0), identifyItem(two, `{"email":"a@b.c"}`, 0), merges(one, two)}, people: `id:1`},
		{name: "an address stays", asked: []string{identifyItem(one, `{"email":"d@e.f"}`, 0), identifyItem(two, `{"email":"a@b.c"}`, 0), merges(one, two)}, people: `id:1 email:d@e.f`},
		{name: "an id comes over", asked: []string{identifyItem(`{"email":"a@b.c"}`, `{}`, 0), identifyItem(two, `{}`, 0), merges(`{"email":"A@b.c"}`, two)}, people: `id:2 email:a@b.c`},
		{name: "an address that is none", set: func(s *Settings) { s.Identifiers = "id" }, asked: []string{identifyItem(one, `{}`, 0), identifyItem(two, `{"email":"a@b.c"}`, 0), merges(one, two)}, people: `id:1 email:a@b.c`},
		{name: "by cio_id", asked: []string{identifyItem(one, `{"n":1}`, 0), identifyItem(two, `{}`, 0), merges(`{"cio_id":"a3000002"}`, `{"cio_id":"a3000001"}`)}, people: `id:2 n=1`},
		{name: "no primary: nothing", asked: []string{identifyItem(two, `{"n":2}`, 0), merges(one, two)}, people: `id:2 n=2`, drop: DropMergeWithoutPrimary},
		{name: "no secondary: nothing", asked: []string{identifyItem(one, `{"n":1}`, 0), merges(one, two)}, people: `id:1 n=1`, notice: NoticeMergeUnknown},
		{name: "twice", asked: []string{identifyItem(one, `{}`, 0), identifyItem(two, `{"n":2}`, 0), merges(one, two), merges(one, two)}, people: `id:1 n=2`, notice: NoticeMergeUnknown},
		{name: "into oneself: nothing", asked: []string{identifyItem(one, `{"email":"a@b.c"}`, 0), merges(one, `{"email":"a@b.c"}`)}, people: `id:1 email:a@b.c`, notice: NoticeMergeSelf},
		{name: "a suppressed primary: nothing", asked: []string{asks("suppress", one, ""), identifyItem(two, `{}`, 0), merges(one, two)}, people: `id:2`, drop: DropSuppressed},
		{name: "the secondary's id is free", asked: []string{identifyItem(one, `{}`, 0), identifyItem(two, `{"n":2}`, 0), merges(one, two), identifyItem(two, `{}`, 0)}, people: `id:1 n=2; id:2`},
		{name: "its cio_id is not", asked: []string{identifyItem(one, `{}`, 0), identifyItem(two, `{}`, 0), merges(one, two), identifyItem(`{"cio_id":"a3000002"}`, `{"n":2}`, 0)}, people: `id:1`, drop: DropUnknownCioID},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.set == nil {
				c.set = func(*Settings) {}
			}
			cl := newClient(t, c.set)
			cl.must(c.asked...)
			s := cl.State("")
			equal(t, "people", people(s), c.people)
			if c.drop != "" && s.Drops[c.drop] != 1 || c.drop == "" && len(s.Drops) > 0 {
				t.Errorf("drops %v, want %q", s.Drops, c.drop)
			}
			if c.notice != "" && s.Notices[c.notice] != 1 {
				t.Errorf("notices %v, want %q", s.Notices, c.notice)
			}
			cl.workspaces[0].check(t)
		})
	}
}

// TestMergeTakesAlong merges two people with all that can hang on them.
func TestMergeTakesAlong(t *testing.T) {
	for _, c := range []struct{ dependants, devices, relationships string }{
		{"drop", "t1", "1/acme"},
		{"move", "t1 t2", "1/acme 2/z"},
	} {
		bubble(t, func(s *Settings) { s.MergeDependants = c.dependants }, func(t *testing.T, cl *client) {
			cl.must(identifyItem(`{"id":"1"}`, `{}`, 0), identifyItem(`{"id":"2"}`, `{}`, 0))
			now := cl.person("id:1").Created.Unix()
			vips, others := cl.AddSegment("", "vips", false), cl.AddSegment("", "others", false)
			for who, items := range map[string][]string{
				"1": {relates(`{"id":"1"}`, acme, `{"n":1}`)},
				"2": {relates(`{"id":"2"}`, acme, `{"n":2}`), relates(`{"id":"2"}`, objectID("2", "z"), `{}`)},
			} {
				cl.must(items...)
				cl.must(asks("add_device", `{"id":"`+who+`"}`, `"device":{"token":"t`+who+`","platform":"ios"}`),
					asks("event", `{"id":"`+who+`"}`, fmt.Sprintf(`"name":"new %s","timestamp":%d`, who, now-mergedWindow)),
					asks("event", `{"id":"`+who+`"}`, fmt.Sprintf(`"name":"old %s","timestamp":%d`, who, now-mergedWindow-1)))
			}
			cl.v1(t, 200, "POST", fmt.Sprintf("/api/v1/segments/%d/add_customers", vips), `{"ids":["1","2"]}`)
			cl.v1(t, 200, "POST", fmt.Sprintf("/api/v1/segments/%d/add_customers", others), `{"ids":["2"]}`)
			cl.v1(t, 200, "POST", "/api/v1/merge_customers", `{"primary":{"id":"1"},"secondary":{"id":"2"}}`)

			s := cl.State("")
			p := cl.person("id:1")
			var devices, relationships []string
			for _, d := range p.Devices {
				devices = append(devices, d.Token)
			}
			for _, r := range p.Relationships {
				relationships = append(relationships, r.Object)
			}
			equal(t, "devices", strings.Join(devices, " "), c.devices)
			equal(t, "relationships", strings.Join(relationships, " "), c.relationships)
			r, _ := p.Relationship("1", "acme")
			equal(t, "the primary's own", string(r.Attributes["n"].Value), "1")
			equal(t, "segments", fmt.Sprint(p.Segments), "[others vips]")
			segment, _ := s.Segment("others")
			equal(t, "members", fmt.Sprint(segment.Members), "[id:1]")
			equal(t, "events", text(len(s.EventsOf("id:1")), len(s.EventsOf("id:2"))), "3 1")
			equal(t, "the old one", s.EventsOf("id:2")[0].Name, "old 2")
			cl.workspaces[0].check(t)
		})
	}
}

// TestMergeHasRoom: a primary takes over what it has room for.
func TestMergeHasRoom(t *testing.T) {
	attributes := func(prefix string, n int) string {
		list := make([]string, n)
		for i := range list {
			list[i] = fmt.Sprintf(`"%s%d":1`, prefix, i)
		}
		return "{" + strings.Join(list, ",") + "}"
	}
	c := newClient(t)
	c.must(identifyItem(`{"id":"1"}`, attributes("a", 299), 0), identifyItem(`{"id":"2"}`, attributes("b", 3), 0), merges(`{"id":"1"}`, `{"id":"2"}`))
	s := c.State("")
	p := c.person("id:1")
	equal(t, "attributes", text(len(p.Attributes), p.Value("b0"), s.Drops[DropTotalAttributes], len(s.FailedAttributeChanges)), "300 1 2 2")
}

func TestV1Merge(t *testing.T) {
	c := newClient(t)
	for _, r := range []struct {
		method, body string
		status       int
		answer       string
	}{
		{"POST", `{"primary":{"email":"a@b.c"},"secondary":{"cio_id":"a3000001"}}`, 200, `{}`},
		{"POST", `{"primary":{"id":"1","email":"a@b.c"},"secondary":{"id":"2"}}`, 400, `{"meta":{"error":"primary must hold exactly one of id, email, cio_id"}}`},
		{"POST", `{"primary":{"id":"1"}}`, 400, `{"meta":{"error":"secondary is required"}}`},
		{"POST", `{"primary":{"id":1},"secondary":{"id":"2"}}`, 400, `{"meta":{"error":"id attribute must be a string value"}}`},
		{"POST", `{"primary":{"id":"1"},"secondary":{"id":"` + x(151) + `"}}`, 400, `{"meta":{"error":"id cannot be longer than 150 bytes"}}`},
		{"POST", `[]`, 400, `{"meta":{"errors":["the body must be an object"]}}`},
		{"POST", `{`, 400, `{"meta":{"errors":["malformed JSON"]}}`},
		{"PUT", `{}`, 405, `{"meta":{"errors":["use POST"]}}`},
	} {
		status, body := c.do(r.method, "/api/v1/merge_customers", r.body)
		equal(t, r.body, text(status, strings.TrimSpace(body)), text(r.status, r.answer))
	}
	equal(t, "accepted", c.State("").Counters.Operations, 1)
}
