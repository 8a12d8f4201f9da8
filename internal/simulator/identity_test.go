package simulator

import (
	"fmt"
	"strings"
	"testing"
)

// TestIdentity is the table of section "identifying people": what is there,
// what is asked, and who is there afterwards.
func TestIdentity(t *testing.T) {
	failOf := func(s State) string {
		var list []string
		for _, f := range s.FailedAttributeChanges {
			list = append(list, fmt.Sprintf("%s %s=%s", f.Person, f.Field, f.Value))
		}
		return strings.Join(list, "; ")
	}
	byID := func(id, attributes string) string {
		return identifyItem(fmt.Sprintf(`{"id":%q}`, id), attributes, 0)
	}
	byEmail := func(email, attributes string) string {
		return identifyItem(fmt.Sprintf(`{"email":%q}`, email), attributes, 0)
	}
	byCioID := func(id, attributes string) string {
		return identifyItem(fmt.Sprintf(`{"cio_id":%q}`, id), attributes, 0)
	}
	two := []string{byID("1", `{"email":"a@b.c","n":1}`), byID("2", `{"email":"d@e.f","n":2}`)}
	for _, c := range []struct {
		name   string
		set    func(*Settings)
		asked  []string
		people string
		failed string
	}{
		{name: "nobody known: create", asked: []string{byID("1", `{"n":1}`)}, people: `id:1 n=1`},
		{name: "ids differ by case", asked: []string{byID("a", `{"n":1}`), byID("A", `{"n":2}`)}, people: `id:A n=2; id:a n=1`},
		{name: "addresses do not", asked: []string{byEmail("A@b.c", `{"n":1}`), byEmail("a@B.C", `{"plan":"x"}`)}, people: `email:A@b.c n=1 plan="x"`},
		{name: "an address in other letters is written anew", asked: []string{byID("1", `{"email":"A@b.c"}`), byID("1", `{"email":"a@b.c"}`)}, people: `id:1 email:a@b.c`},
		{name: "address known: update", asked: append(two[:1:1], byEmail("A@B.C", `{"plan":"x"}`)), people: `id:1 email:a@b.c n=1 plan="x"`},
		{name: "adopt who has no id", asked: []string{byEmail("a@b.c", `{"n":1}`), byID("1", `{"email":"a@b.c"}`)}, people: `id:1 email:a@b.c n=1`},
		{name: "adopt who has no address", asked: []string{byID("1", `{"n":1}`), byEmail("a@b.c", `{"id":"1"}`)}, people: `id:1 email:a@b.c n=1`},
		{name: "new id for a known address: rekey", asked: append(two[:1:1], byID("9", `{"email":"a@b.c","plan":"x"}`)), people: `id:9 email:a@b.c n=1 plan="x"`},
		{name: "new id for a known address: fail", set: func(s *Settings) { s.NewIDForKnownEmail = "fail" },
			asked:  append(two[:1:1], byID("9", `{"email":"a@b.c","plan":"x"}`)),
			people: `id:1 email:a@b.c n=1; id:9 plan="x"`, failed: "id:9 email=a@b.c"},
		{name: "new id for a known address: fail whole", set: func(s *Settings) { s.NewIDForKnownEmail, s.Conflict = "fail", "request" },
			asked:  append(two[:1:1], byID("9", `{"email":"a@b.c","plan":"x"}`)),
			people: `id:1 email:a@b.c n=1`, failed: "id:1 id=9"},
		{name: "address of another: the identifier fails", asked: append(two[:2:2], byID("2", `{"email":"A@b.c","plan":"x"}`)),
			people: `id:1 email:a@b.c n=1; id:2 email:d@e.f n=2 plan="x"`, failed: "id:2 email=A@b.c"},
		{name: "address of another: the request fails", set: func(s *Settings) { s.Conflict = "request" },
			asked:  append(two[:2:2], byID("2", `{"email":"a@b.c","plan":"x"}`)),
			people: `id:1 email:a@b.c n=1; id:2 email:d@e.f n=2`, failed: "id:2 email=a@b.c"},
		{name: "a swap fails", asked: append(two[:2:2], byID("1", `{"email":"d@e.f"}`), byID("2", `{"email":"a@b.c"}`)),
			people: `id:1 email:a@b.c n=1; id:2 email:d@e.f n=2`, failed: "id:1 email=d@e.f; id:2 email=a@b.c"},
		{name: "a swap by way of null", asked: append(two[:2:2], byID("1", `{"email":null}`), byID("2", `{"email":"a@b.c"}`), byID("1", `{"email":"d@e.f"}`)),
			people: `id:1 email:d@e.f n=1; id:2 email:a@b.c n=2`},
		{name: "address by id", asked: append(two[:1:1], byID("1", `{"email":"x@y.z"}`)), people: `id:1 email:x@y.z n=1`},
		{name: "address by id, not allowed", set: func(s *Settings) { s.EmailUpdatesByID = false },
			asked: append(two[:1:1], byID("1", `{"email":"x@y.z"}`)), people: `id:1 email:a@b.c n=1`, failed: "id:1 email=x@y.z"},
		{name: "address by cio_id", set: func(s *Settings) { s.EmailUpdatesByID = false },
			asked: append(two[:1:1], byCioID("a3000001", `{"email":"x@y.z"}`)), people: `id:1 email:x@y.z n=1`},
		{name: "id by address", asked: append(two[:1:1], byEmail("a@b.c", `{"id":"9"}`)), people: `id:1 email:a@b.c n=1`, failed: "id:1 id=9"},
		{name: "id by cio_id", asked: append(two[:1:1], byCioID("a3000001", `{"id":"9"}`)), people: `id:9 email:a@b.c n=1`},
		{name: "one id instead of another, by id", asked: []string{byID("2", `{"n":2}`), byID("1", `{"id":"2","n":1}`)}, people: `id:1 n=1; id:2 n=2`, failed: "id:1 id=2"},
		{name: "cio_id does not change", asked: append(two[:1:1], byID("1", `{"cio_id":"a3000009"}`)), people: `id:1 email:a@b.c n=1`, failed: "id:1 cio_id=a3000009"},
		{name: "cio_id unknown", asked: []string{byCioID("a3000009", `{"id":"1"}`)}},
		{name: "cio_id after delete", asked: append(two[:1:1], asks("delete", `{"id":"1"}`, ""), byID("1", `{}`), byCioID("a3000001", `{"n":5}`)), people: `id:1`},
		{name: "null address", asked: append(two[:1:1], byID("1", `{"email":null}`)), people: `id:1 n=1`},
		{name: "null address fails", set: func(s *Settings) { s.ClearIdentifier = "fail" },
			asked: append(two[:1:1], byID("1", `{"email":null}`)), people: `id:1 email:a@b.c n=1`, failed: "id:1 email="},
		{name: "the last identifier stays", asked: []string{byEmail("a@b.c", `{}`), byCioID("a3000001", `{"email":null}`)}, people: `email:a@b.c`, failed: "email:a@b.c email="},
		{name: "update only, known", asked: append(two[:1:1], byID("1", `{"_update":true,"plan":"x"}`)), people: `id:1 email:a@b.c n=1 plan="x"`},
		{name: "update only, unknown", asked: []string{byID("1", `{"_update":true,"plan":"x"}`)}},
		{name: "update only, known by address", asked: []string{byEmail("a@b.c", `{}`), byID("1", `{"_update":true,"email":"a@b.c"}`)}, people: `id:1 email:a@b.c`},
		{name: "an address in an id workspace is an attribute", set: func(s *Settings) { s.Identifiers = "id" },
			asked: append(two[:2:2], byID("2", `{"email":"a@b.c"}`)), people: `id:1 email:a@b.c n=1; id:2 email:a@b.c n=2`},
		{name: "an id in an email workspace is an attribute", set: func(s *Settings) { s.Identifiers = "email" },
			asked: []string{byEmail("a@b.c", `{"id":"7"}`), byEmail("d@e.f", `{"id":"7"}`)}, people: `email:a@b.c; email:d@e.f`},
		{name: "phone", set: func(s *Settings) { s.PhoneIdentifier = true },
			asked: []string{identifyItem(`{"phone":"+1"}`, `{}`, 0), byID("1", `{"phone":"+1"}`)}, people: `id:1 phone:+1`},
		{name: "older identifiers lose", asked: []string{identifyItem(`{"id":"1"}`, `{"email":"new@b.c"}`, 20), identifyItem(`{"id":"1"}`, `{"email":"old@b.c"}`, 10)}, people: `id:1 email:new@b.c`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.set == nil {
				c.set = func(*Settings) {}
			}
			cl := newClient(t, c.set)
			cl.must(c.asked...)
			s := cl.State("")
			equal(t, "people", people(s), c.people)
			equal(t, "failed", failOf(s), c.failed)
		})
	}
}

func TestRecreatedPersonIsAnother(t *testing.T) {
	c := newClient(t)
	c.must(identifyItem(`{"id":"1"}`, `{"plan":"x"}`, 50))
	first := c.person("id:1").CioID
	c.must(asks("delete", `{"id":"1"}`, ""), asks("delete", `{"id":"1"}`, ""), identifyItem(`{"id":"1"}`, `{"n":1}`, 10))
	equal(t, "people", people(c.State("")), `id:1 n=1`)
	if second := c.person("id:1").CioID; second == first {
		t.Errorf("the person who came back has the cio_id of the one who went: %s", second)
	}
	equal(t, "deletes of nobody", c.State("").Notices[NoticeDeleteUnknown], 1)
}

// TestWhatGoesWithAPerson: devices, memberships and relationships go with a
// deleted or suppressed person, and do not come back with their id.
func TestWhatGoesWithAPerson(t *testing.T) {
	one := `{"id":"1"}`
	for _, again := range [][]string{
		{asks("delete", one, "")},
		{asks("suppress", one, ""), asks("unsuppress", one, "")},
		{identifyItem(`{"id":"2"}`, `{}`, 0), merges(`{"id":"2"}`, one)},
	} {
		c := newClient(t)
		c.AddSegment("", "vips", false)
		c.must(identifyItem(one, `{"plan":"x"}`, 0), relates(one, acme, `{}`),
			asks("add_device", one, `"device":{"token":"t","platform":"ios"}`))
		c.v1(t, 200, "POST", "/api/v1/segments/1/add_customers", `{"ids":["1"]}`)
		p := c.person("id:1")
		equal(t, "before", text(len(p.Devices), p.Segments, len(p.Relationships)), "1 [vips] 1")
		c.must(append(again, identifyItem(one, `{}`, 0))...)
		p = c.person("id:1")
		equal(t, "after", text(len(p.Devices), p.Segments, len(p.Relationships), p.Value("plan")), "0 [] 0 ")
		c.workspaces[0].check(t)
	}
}

func TestGhosts(t *testing.T) {
	event := asks("event", `{"id":"1"}`, `"name":"x"`)
	device := asks("add_device", `{"id":"2"}`, `"device":{"token":"t","platform":"ios"}`)
	t.Run("create", func(t *testing.T) {
		c := newClient(t)
		c.must(event, device)
		equal(t, "people", people(c.State("")), `id:1 ghost; id:2 ghost`)
		c.must(identifyItem(`{"id":"1"}`, `{"n":1}`, 0))
		equal(t, "people", people(c.State("")), `id:1 n=1; id:2 ghost`)
		equal(t, "ghosts", c.State("").Notices[NoticeGhost], 2)
	})
	t.Run("orphan", func(t *testing.T) {
		c := newClient(t, func(s *Settings) { s.UnknownPerson = "orphan" })
		c.must(event, device)
		s := c.State("")
		equal(t, "people", people(s), "")
		equal(t, "orphan", s.Events[0].Orphan && s.Events[0].Person == "id:1", true)
		equal(t, "devices lost", s.Drops[DropUnknownPerson], 1)
	})
}

// TestTokens: whether a token leaves the one who had it when another gets it.
func TestTokens(t *testing.T) {
	device := func(who string) string {
		return asks("add_device", who, `"device":{"token":"t","platform":"ios"}`)
	}
	for setting, owners := range map[string]string{"keep": "[id:1 id:2]", "take": "[id:2]"} {
		c := newClient(t, func(s *Settings) { s.TokenElsewhere = setting })
		c.must(identifyItem(`{"id":"1"}`, `{}`, 0), identifyItem(`{"id":"2"}`, `{}`, 0),
			device(`{"id":"1"}`), device(`{"id":"1"}`), device(`{"id":"2"}`))
		equal(t, setting, fmt.Sprint(c.State("").Owners("t")), owners)
	}
}

// TestSettings refuses what has no meaning.
func TestSettings(t *testing.T) {
	c := newClient(t)
	for _, change := range []func(*Settings){
		func(s *Settings) { s.UnknownObject = "ignore" },
		func(s *Settings) { s.UnknownMember = "drop" },
		func(s *Settings) { s.RemoveMemberWithoutID = "" },
		func(s *Settings) { s.DuplicateNames = "fail" },
		func(s *Settings) { s.TokenElsewhere = "move" },
		func(s *Settings) { s.MergeIdentifiers = "move" },
		func(s *Settings) { s.MergeDependants = "copy" },
		func(s *Settings) { s.CollectionContent = "object" },
		func(s *Settings) { s.ObjectTypes = []string{"1", "x"} },
		func(s *Settings) { s.ObjectTypes = []string{"01"} },
		func(s *Settings) { s.Lag = -1 },
	} {
		if c.Configure("", change) == nil {
			s := c.Settings("")
			change(&s)
			t.Errorf("accepted: %+v", s)
		}
	}
	if err := c.Configure("", func(s *Settings) { s.ObjectTypes = []string{"7"} }); err != nil {
		t.Fatal(err)
	}
	status, _ := c.batch(ofObject("identify", objectID("7", "x"), ""), ofObject("identify", acme, ""))
	equal(t, "another type", status, 207)
}
