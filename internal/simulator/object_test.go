package simulator

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// TestObjects is what is asked, and what is there afterwards.
func TestObjects(t *testing.T) {
	one, two := `{"id":"1"}`, `{"id":"2"}`
	identify := func(attributes string) string { return ofObject("identify", acme, `"attributes":`+attributes) }
	people := []string{identifyItem(one, `{"email":"a@b.c"}`, 0), identifyItem(two, `{}`, 0)}
	with := func(items ...string) []string { return append(people[:2:2], items...) }
	for _, c := range []struct {
		name    string
		set     func(*Settings)
		asked   []string
		objects string
		drop    Drop
		notice  Notice
	}{
		{name: "create", asked: []string{identify(`{"n":1,"plan":"x"}`)}, objects: `1/acme n=1 plan="x"`},
		{name: "create without attributes", asked: []string{ofObject("identify", acme, "")}, objects: `1/acme`},
		{name: "update merges", asked: []string{identify(`{"n":1,"plan":"x"}`), identify(`{"n":2}`)}, objects: `1/acme n=2 plan="x"`},
		{name: "null removes", asked: []string{identify(`{"n":1,"plan":"x"}`), identify(`{"n":null}`)}, objects: `1/acme plan="x"`},
		{name: "empty removes", asked: []string{identify(`{"n":1,"plan":"x"}`), identify(`{"n":""}`)}, objects: `1/acme plan="x"`, notice: NoticeEmptyString},
		{name: "empty removes, whatever it does to people", set: func(s *Settings) { s.EmptyString = "keep" },
			asked: []string{identify(`{"n":1,"plan":"x"}`), identify(`{"n":""}`)}, objects: `1/acme plan="x"`},
		{name: "a path is one leaf", asked: []string{identify(`{"a":{"b":1,"c":2}}`), identify(`{"a.b":3,"a.c":null}`)}, objects: `1/acme a={"b":3}`},
		{name: "the later wins, whatever a tie is", set: func(s *Settings) { s.Tie = "earlier" },
			asked: []string{identify(`{"n":1}`), identify(`{"n":2}`)}, objects: `1/acme n=2`},
		{name: "a timestamp is nothing to it", asked: []string{ofObject("identify", acme, `"attributes":{"n":1},"timestamp":50`)}, objects: `1/acme n=1`, notice: NoticeUnknownField},
		{name: "types are apart", asked: []string{identify(`{"n":1}`), ofObject("identify", objectID("2", "acme"), `"attributes":{"n":2}`)}, objects: `1/acme n=1; 2/acme n=2`},
		{name: "ids differ by case and hold anything", asked: []string{ofObject("identify", objectID("1", "A/b"), ""), ofObject("identify", objectID("1", "a/b"), "")}, objects: `1/A/b; 1/a/b`},
		{name: "by cio_object_id", asked: []string{identify(`{"n":1}`), ofObject("identify", `{"cio_object_id":"ob7f000001"}`, `"attributes":{"n":2}`)}, objects: `1/acme n=2`},
		{name: "unknown cio_object_id", asked: []string{ofObject("identify", `{"cio_object_id":"ob7f000001"}`, `"attributes":{"n":2}`)}, drop: DropUnknownCioObject},
		{name: "cio_object_id of one that went", asked: []string{identify(`{"n":1}`), ofObject("delete", acme, ""), identify(`{"n":2}`), ofObject("identify", `{"cio_object_id":"ob7f000001"}`, `"attributes":{"n":3}`)},
			objects: `1/acme n=2`, drop: DropUnknownCioObject},
		{name: "anonymous, but nobody named", asked: []string{ofObject("identify_anonymous", acme, `"attributes":{"n":1}`)}, objects: `1/acme n=1`},
		{name: "reserved name", asked: []string{identify(`{"relationship":1}`)}, objects: `1/acme relationship=1`, notice: NoticeReservedName},
		{name: "delete", asked: []string{identify(`{"n":1}`), ofObject("delete", acme, "")}},
		{name: "delete by cio_object_id", asked: []string{identify(`{"n":1}`), ofObject("delete", `{"cio_object_id":"ob7f000001"}`, "")}},
		{name: "delete what is not there", asked: []string{ofObject("delete", acme, "")}, notice: NoticeDeleteUnknownObject},
		{name: "delete forgets attributes", asked: []string{identify(`{"n":1}`), ofObject("delete", acme, ""), identify(`{"plan":1}`)}, objects: `1/acme plan=1`},

		{name: "relate", asked: with(identify(`{}`), relates(one, acme, `{"role":"x"}`)), objects: `1/acme (id:1 role="x")`},
		{name: "relate by address", asked: with(identify(`{}`), relates(`{"email":"A@B.C"}`, acme, `{}`)), objects: `1/acme (id:1)`},
		{name: "relate by cio_id", asked: with(identify(`{}`), relates(`{"cio_id":"a3000002"}`, `{"cio_object_id":"ob7f000001"}`, `{}`)), objects: `1/acme (id:2)`},
		{name: "relate from the object", asked: with(identify(`{}`), ofObject("add_relationships", acme, oneRelationship(one, `{"role":"x"}`))), objects: `1/acme (id:1 role="x")`},
		{name: "relate in an identify", asked: with(asks("identify", one, oneRelationship(acme, `{"role":"x"}`))), objects: `1/acme ghost (id:1 role="x")`, notice: NoticeGhostObject},
		{name: "relate in an object's identify", asked: with(ofObject("identify", acme, oneRelationship(two, `{"role":"x"}`))), objects: `1/acme (id:2 role="x")`},
		{name: "an identify adds to what is there", asked: with(ofObject("identify", acme, oneRelationship(one, `{}`)), ofObject("identify", acme, oneRelationship(two, `{}`))), objects: `1/acme (id:1) (id:2)`},
		{name: "attributes of a relationship merge", asked: with(relates(one, acme, `{"role":"x","n":1}`), relates(one, acme, `{"role":"y"}`)), objects: `1/acme ghost (id:1 n=1 role="y")`},
		{name: "and are removed by null and empty", asked: with(relates(one, acme, `{"role":"x","n":1}`), relates(one, acme, `{"role":null,"n":""}`)), objects: `1/acme ghost (id:1)`},
		{name: "and without any stay", asked: with(relates(one, acme, `{"n":1}`), asks("add_relationships", one, `"cio_relationships":[{"identifiers":`+acme+`}]`)), objects: `1/acme ghost (id:1 n=1)`},
		{name: "an empty list", asked: with(identify(`{}`), asks("add_relationships", one, `"cio_relationships":[]`)), objects: `1/acme`, notice: NoticeEmptyRelationships},
		{name: "unrelate", asked: with(relates(one, acme, `{}`), relates(two, acme, `{}`), unrelates(one, acme)), objects: `1/acme ghost (id:2)`},
		{name: "unrelate from the object", asked: with(relates(one, acme, `{}`), ofObject("delete_relationships", acme, `"cio_relationships":[{"identifiers":{"id":"1"}}]`)), objects: `1/acme ghost`},
		{name: "unrelate forgets attributes", asked: with(relates(one, acme, `{"n":1}`), unrelates(one, acme), relates(one, acme, `{}`)), objects: `1/acme ghost (id:1)`},
		{name: "unrelate what is not", asked: with(identify(`{}`), unrelates(one, acme)), objects: `1/acme`, notice: NoticeRelationshipUnknown},
		{name: "unrelate nobody", asked: with(identify(`{}`), unrelates(`{"id":"9"}`, acme)), objects: `1/acme`, notice: NoticeRelationshipUnknown},
		{name: "a ghost that is identified is none", asked: with(relates(one, acme, `{}`), identify(`{"n":1}`)), objects: `1/acme n=1 (id:1)`},
		{name: "no object, dropped", set: func(s *Settings) { s.UnknownObject = "drop" }, asked: with(relates(one, acme, `{}`)), drop: DropUnknownObject},
		{name: "no object by cio_object_id", asked: with(relates(one, `{"cio_object_id":"ob7f000009"}`, `{}`)), drop: DropUnknownCioObject},
		{name: "nobody, created", asked: []string{ofObject("identify", acme, oneRelationship(one, `{}`))}, objects: `1/acme (id:1)`, notice: NoticeGhost},
		{name: "nobody, dropped", set: func(s *Settings) { s.UnknownPerson = "orphan" }, asked: []string{ofObject("identify", acme, oneRelationship(one, `{}`))}, objects: `1/acme`, drop: DropUnknownRelated},
		{name: "nobody to be related, nothing made", set: func(s *Settings) { s.UnknownPerson = "orphan" }, asked: []string{relates(one, acme, `{}`)}, drop: DropUnknownRelated},
		{name: "nothing to relate to, nobody made", set: func(s *Settings) { s.UnknownObject = "drop" }, asked: []string{relates(`{"id":"9"}`, acme, `{}`)}, drop: DropUnknownObject},
		{name: "nobody by cio_id", asked: []string{identify(`{}`), relates(`{"cio_id":"a3000001"}`, acme, `{}`)}, objects: `1/acme`, drop: DropUnknownCioID},
		{name: "somebody suppressed", asked: with(asks("suppress", one, ""), ofObject("identify", acme, `"cio_relationships":[{"identifiers":{"id":"1"}},{"identifiers":{"id":"2"}}]`)), objects: `1/acme (id:2)`, drop: DropSuppressed},
		{name: "an identify that is dropped relates nobody", asked: []string{asks("identify", one, `"attributes":{"_update":true},`+oneRelationship(acme, `{}`))}, drop: DropUpdateOnlyMiss},
		{name: "a rename keeps them", asked: with(relates(one, acme, `{"n":1}`), identifyItem(`{"cio_id":"a3000001"}`, `{"id":"9"}`, 0)), objects: `1/acme ghost (id:9 n=1)`},
		{name: "a deleted person takes them along", asked: with(relates(one, acme, `{}`), relates(two, acme, `{}`), asks("delete", one, ""), identifyItem(one, `{}`, 0)), objects: `1/acme ghost (id:2)`},
		{name: "a deleted object takes them along", asked: with(relates(one, acme, `{}`), ofObject("delete", acme, ""), identify(`{}`)), objects: `1/acme`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.set == nil {
				c.set = func(*Settings) {}
			}
			cl := newClient(t, c.set)
			cl.must(c.asked...)
			s := cl.State("")
			equal(t, "objects", objects(s), c.objects)
			if c.drop != "" && (s.Drops[c.drop] != 1 || len(s.Drops) != 1) || c.drop == "" && len(s.Drops) > 0 {
				t.Errorf("drops %v, want %q", s.Drops, c.drop)
			}
			if c.notice != "" && s.Notices[c.notice] != 1 {
				t.Errorf("notices %v, want %q", s.Notices, c.notice)
			}
			cl.workspaces[0].check(t)
		})
	}
}

// TestObjectTotals: what an object or a relationship holds in total is
// bounded, whatever each request brings.
func TestObjectTotals(t *testing.T) {
	attributes := func(from, to int, value string) string {
		var list []string
		for i := from; i < to; i++ {
			list = append(list, fmt.Sprintf(`"a%03d":"%s"`, i, value))
		}
		return "{" + strings.Join(list, ",") + "}"
	}
	for what, item := range map[string]func(attributes string) string{
		"1/acme of nobody": func(a string) string { return ofObject("identify", acme, `"attributes":`+a) },
		"1/acme of id:1":   func(a string) string { return relates(`{"id":"1"}`, acme, a) },
	} {
		held := func(s State) map[string]Attribute {
			if p, ok := s.Person("id:1"); ok {
				r, _ := p.Relationship("1", "acme")
				return r.Attributes
			}
			o, _ := s.Object("1", "acme")
			return o.Attributes
		}
		t.Run("bytes of "+what, func(t *testing.T) {
			c := newClient(t)
			if strings.HasSuffix(what, "id:1") {
				c.must(identifyItem(`{"id":"1"}`, `{}`, 0))
			}
			// 4 bytes of name, 994 of text and its quotes: 1,000 each.
			for from := 0; from < 120; from += 20 {
				c.must(item(attributes(from, from+20, x(994))))
			}
			s := c.State("")
			equal(t, "within 100 KB", len(held(s)), 100)
			equal(t, "dropped", s.Drops[DropTotalAttributes], 20)
			f := s.FailedAttributeChanges
			equal(t, "failed", text(len(f), f[0].Object, "of", orNobody(f[0].Person), f[0].Field, f[0].Reason), text(20, what, "a100", reasonBytes))

			// What makes room, or takes none, is taken.
			c.must(item(`{"a000":"`+x(993)+`","a100":"x"}`), item(`{"a000":null}`), item(`{"a100":"`+x(994)+`"}`))
			s = c.State("")
			equal(t, "after", text(len(held(s)), len(held(s)["a100"].Value), s.Drops[DropTotalAttributes]), "100 996 21")

			kind := map[string]string{"1/acme of nobody": "_o:1:failed_attribute_change", "1/acme of id:1": "relationship_failed_attribute_change"}[what]
			for asked, n := range map[string]int{kind: 10, "failed_attribute_change": 0} {
				_, body := c.do("GET", "/v1/activities?type="+asked, "")
				equal(t, "activities "+asked, strings.Count(body, `"type":"`+asked+`"`), n)
			}
		})
		t.Run("number of "+what, func(t *testing.T) {
			c := newClient(t)
			if strings.HasSuffix(what, "id:1") {
				c.must(identifyItem(`{"id":"1"}`, `{}`, 0))
			}
			c.must(item(attributes(0, 300, "x")), item(`{"a000":null,"one":1}`), item(`{"more":1,"a001":"y"}`))
			s := c.State("")
			equal(t, "attributes", text(len(held(s)), len(held(s)["more"].Value), string(held(s)["a001"].Value), s.Drops[DropTotalAttributes]), `300 0 "y" 1`)
		})
	}
}

func orNobody(person string) string {
	if person == "" {
		return "nobody"
	}
	return person
}

func TestAppObjects(t *testing.T) {
	c := newClient(t, func(s *Settings) { s.AppPerSecond = 0 })
	c.must(ofObject("identify", objectID("1", "a/b"), `"attributes":{"n":30,"deep":{"a": [1]}}`),
		identifyItem(`{"id":"1"}`, `{"email":"a@b.c"}`, 0), identifyItem(`{"email":"d@e.f"}`, `{}`, 0),
		relates(`{"id":"1"}`, objectID("1", "a/b"), `{"since":7}`), relates(`{"email":"d@e.f"}`, objectID("1", "a/b"), `{}`),
		relates(`{"id":"1"}`, objectID("2", "z"), `{}`))
	strip := func(body string) string { return timestampsOf.ReplaceAllString(strings.TrimSpace(body), "T") }
	for _, r := range []struct {
		path   string
		status int
		body   string
	}{
		{"/v1/objects/1/a%2Fb/attributes", 200, `{"object":{"attributes":{"deep":"{\"a\":[1]}","n":"30"},"identifiers":{"cio_object_id":"ob7f000001","object_id":"a/b"},"object_type_id":"1","timestamps":{"deep":T,"n":T}}}`},
		{"/v1/objects/1/ob7f000002/attributes?id_type=cio_object_id", 404, ``},
		{"/v1/objects/2/ob7f000002/attributes?id_type=cio_object_id", 200, `{"object":{"attributes":{},"identifiers":{"cio_object_id":"ob7f000002","object_id":"z"},"object_type_id":"2","timestamps":{}}}`},
		{"/v1/objects/1/x/attributes", 404, ``},
		{"/v1/objects/1/x/attributes?id_type=id", 400, ``},
		{"/v1/objects/1/a%2Fb/relationships", 200, `{"cio_relationships":[{"object_type_id":"1","object_type_disabled":false,"identifiers":{"cio_id":"a3000001","email":"a@b.c","id":"1"},"attributes":{"since":"7"},"timestamps":{"since":T}},{"object_type_id":"1","object_type_disabled":false,"identifiers":{"cio_id":"a3000002","email":"d@e.f","id":null},"attributes":{},"timestamps":{}}],"next":""}`},
		{"/v1/objects/1/a%2Fb/relationships?limit=0", 400, ``},
		{"/v1/objects/9/x/relationships", 404, ``},
		{"/v1/customers/1/relationships", 200, `{"cio_relationships":[{"object_type_id":"1","object_type_disabled":false,"identifiers":{"cio_object_id":"ob7f000001","object_id":"a/b"},"attributes":{"since":"7"},"timestamps":{"since":T}},{"object_type_id":"2","object_type_disabled":false,"identifiers":{"cio_object_id":"ob7f000002","object_id":"z"},"attributes":{},"timestamps":{}}],"next":""}`},
		{"/v1/customers/cio_a3000002/relationships?id_type=cio_id&limit=1", 200, `{"cio_relationships":[{"object_type_id":"1","object_type_disabled":false,"identifiers":{"cio_object_id":"ob7f000001","object_id":"a/b"},"attributes":{},"timestamps":{}}],"next":""}`},
		{"/v1/customers/x/relationships", 404, ``},
		{"/v1/customers/x/relationships?id_type=phone", 400, ``},
		{"/v1/customers/1/relationships?start=1", 400, ``},
		{"/v1/object_types", 200, `{"types":[{"id":"1","name":"Objects 1","singular_name":"Object 1","slug":"objects-1","singular_slug":"object-1","enabled":true,"icon":"company"},{"id":"2","name":"Objects 2","singular_name":"Object 2","slug":"objects-2","singular_slug":"object-2","enabled":true,"icon":"company"},{"id":"3","name":"Objects 3","singular_name":"Object 3","slug":"objects-3","singular_slug":"object-3","enabled":true,"icon":"company"}]}`},
	} {
		status, body := c.do("GET", r.path, "")
		equal(t, r.path, status, r.status)
		if r.body != "" {
			equal(t, r.path, strip(body), r.body)
		}
	}
	// Page by page.
	var seen []string
	for next := ""; ; {
		_, body := c.do("GET", "/v1/customers/1/relationships?limit=1&start="+next, "")
		var v struct {
			List []struct {
				Identifiers map[string]string
			} `json:"cio_relationships"`
			Next string
		}
		decode(t, body, &v)
		for _, r := range v.List {
			seen = append(seen, r.Identifiers["object_id"])
		}
		if next = v.Next; next == "" {
			break
		}
	}
	equal(t, "pages", fmt.Sprint(seen), "[a/b z]")
	status, _ := c.do("POST", "/v1/objects", `{}`)
	equal(t, "not built", status, 501)
}

// timestampsOf are the times in a reply, which are today's.
var timestampsOf = regexp.MustCompile(`\b1[0-9]{9}\b`)
