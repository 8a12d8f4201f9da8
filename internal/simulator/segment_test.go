package simulator

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// v1 makes a request and expects a status.
func (c *client) v1(t testing.TB, want int, method, path, body string) string {
	t.Helper()
	status, answer := c.do(method, path, body)
	if status != want {
		t.Errorf("%s %s: %d %s", method, path, status, answer)
	}
	return answer
}

// segments is a short text of who is in what: "vips: id:1 id:2; …".
func segments(s State) string {
	var list []string
	for _, v := range s.Segments {
		list = append(list, strings.TrimSuffix(v.Name+": "+strings.Join(v.Members, " "), " "))
	}
	return strings.Join(list, "; ")
}

// TestMembership is what is asked of segment 1, and who is in it afterwards.
// All of it is answered 200.
func TestMembership(t *testing.T) {
	type call struct{ action, idType, ids string }
	add := func(ids string) call { return call{"add", "", ids} }
	for _, c := range []struct {
		name     string
		set      func(*Settings)
		calls    []call
		after    []string
		segments string
		people   string
		drop     Drop
		notice   Notice
	}{
		{name: "add", calls: []call{add(`["1","2"]`)}, segments: "vips: id:1 id:2"},
		{name: "add twice", calls: []call{add(`["1","1"]`), add(`["1"]`)}, segments: "vips: id:1"},
		{name: "add by id_type=id", calls: []call{{"add", "id", `["1"]`}}, segments: "vips: id:1"},
		{name: "add by address", calls: []call{{"add", "email", `["A@B.C","d@e.f"]`}}, segments: "vips: email:d@e.f id:1"},
		{name: "add by cio_id", calls: []call{{"add", "cio_id", `["a3000002"]`}}, segments: "vips: id:2"},
		{name: "another kind of id is nobody", calls: []call{add(`["a@b.c","1"]`)}, segments: "vips: id:1", drop: DropUnknownMember},
		{name: "an id is no address", calls: []call{{"add", "email", `["1"]`}}, segments: "vips:", drop: DropUnknownMember},
		{name: "a prefix is no part of it", calls: []call{{"add", "cio_id", `["cio_a3000002"]`}}, segments: "vips:", drop: DropUnknownMember},
		{name: "nobody", calls: []call{add(`["9","1"]`)}, segments: "vips: id:1", drop: DropUnknownMember},
		{name: "nobody, by an empty id", calls: []call{add(`[""]`)}, segments: "vips:", drop: DropUnknownMember},
		{name: "nobody, created", set: func(s *Settings) { s.UnknownMember = "create" }, calls: []call{add(`["9"]`)}, segments: "vips: id:9",
			people: "email:d@e.f; id:1 email:a@b.c; id:2; id:9 ghost", notice: NoticeGhost},
		{name: "nobody by cio_id is not created", set: func(s *Settings) { s.UnknownMember = "create" }, calls: []call{{"add", "cio_id", `["a3000009"]`}}, segments: "vips:", drop: DropUnknownMember},
		{name: "removing nobody creates nobody", set: func(s *Settings) { s.UnknownMember = "create" }, calls: []call{{"remove", "", `["9"]`}}, segments: "vips:", drop: DropUnknownMember},
		{name: "suppressed", calls: []call{add(`["1","blocked"]`)}, segments: "vips: id:1", drop: DropSuppressed},
		{name: "remove", calls: []call{add(`["1","2"]`), {"remove", "", `["1"]`}}, segments: "vips: id:2"},
		{name: "remove by address", calls: []call{add(`["1","2"]`), {"remove", "email", `["a@b.c"]`}}, segments: "vips: id:2"},
		{name: "remove who is not in it", calls: []call{{"remove", "", `["1"]`}}, segments: "vips:", notice: NoticeNotAMember},
		{name: "remove who has no id", calls: []call{{"add", "email", `["d@e.f"]`}, {"remove", "email", `["d@e.f"]`}}, segments: "vips:"},
		{name: "remove who has no id, ignored", set: func(s *Settings) { s.RemoveMemberWithoutID = "ignore" },
			calls: []call{{"add", "email", `["d@e.f"]`}, {"remove", "cio_id", `["a3000003"]`}}, segments: "vips: email:d@e.f", drop: DropMemberWithoutID},
		{name: "a deleted person leaves", calls: []call{add(`["1","2"]`)}, after: []string{asks("delete", `{"id":"1"}`, ""), identifyItem(`{"id":"1"}`, `{}`, 0)}, segments: "vips: id:2"},
		{name: "a suppressed person leaves", calls: []call{add(`["1","2"]`)}, after: []string{asks("suppress", `{"id":"1"}`, "")}, segments: "vips: id:2"},
		{name: "a renamed person stays", calls: []call{add(`["1"]`)}, after: []string{identifyItem(`{"cio_id":"a3000001"}`, `{"id":"8"}`, 0)}, segments: "vips: id:8"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.set == nil {
				c.set = func(*Settings) {}
			}
			cl := newClient(t, c.set)
			cl.must(identifyItem(`{"id":"1"}`, `{"email":"a@b.c"}`, 0), identifyItem(`{"id":"2"}`, `{}`, 0),
				identifyItem(`{"email":"d@e.f"}`, `{}`, 0), asks("suppress", `{"id":"blocked"}`, ""))
			equal(t, "id", cl.AddSegment("", "vips", false), 1)
			for _, call := range c.calls {
				path := "/api/v1/segments/1/" + call.action + "_customers"
				if call.idType != "" {
					path += "?id_type=" + call.idType
				}
				equal(t, "answer", cl.v1(t, 200, "POST", path, `{"ids":`+call.ids+`}`), "{}\n")
			}
			cl.must(c.after...)
			s := cl.State("")
			equal(t, "segments", segments(s), c.segments)
			if c.people != "" {
				equal(t, "people", people(s), c.people)
			}
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

func TestSegmentRefusals(t *testing.T) {
	ids := func(n int) string { return `{"ids":["1"` + strings.Repeat(`,"1"`, n-1) + `]}` }
	c := newClient(t, func(s *Settings) { s.AppPerSecond = 0 })
	c.must(identifyItem(`{"id":"1"}`, `{}`, 0))
	c.AddSegment("", "vips", false)
	c.AddSegment("", "active", true)
	for _, r := range []struct {
		path, body string
		status     int
		message    string
	}{
		{"1/add_customers", ids(1000), 200, ``},
		{"1/add_customers", ids(1001), 400, `ids cannot hold more than 1000`},
		{"1/add_customers", `{"ids":[]}`, 400, `ids cannot be empty`},
		{"1/add_customers", `{"ids":"1"}`, 400, `ids must be an array`},
		{"1/add_customers", `{"ids":[1]}`, 400, `ids must be strings`},
		{"1/add_customers", `{}`, 400, `ids is required`},
		{"1/add_customers", `[]`, 400, `the body must be an object`},
		{"1/add_customers", `{"ids":`, 400, `malformed JSON`},
		{"1/add_customers", ``, 400, `malformed JSON`},
		{"1/add_customers?id_type=phone", ids(1), 400, `id_type must be id, email or cio_id`},
		{"1/add_customers?id_type=token", ids(1), 400, `id_type must be id, email or cio_id`},
		{"2/add_customers", ids(1), 400, `segment 2 is data-driven, not manual`},
		{"2/remove_customers", ids(1), 400, `segment 2 is data-driven, not manual`},
		{"3/add_customers", ids(1), 400, `there is no segment 3`},
		{"vips/add_customers", ids(1), 400, `segment_id must be an integer`},
		{"1/remove_customers", ids(1000), 200, ``},
		{"1/remove_customers", ids(1001), 400, `ids cannot hold more than 1000`},
	} {
		status, body := c.do("POST", "/api/v1/segments/"+r.path, r.body)
		want := "{}\n"
		if r.status != 200 {
			want = `{"meta":{"errors":["` + r.message + `"]}}` + "\n"
		}
		equal(t, r.path+" "+r.body[:min(20, len(r.body))], text(status, body), text(r.status, want))
	}
	s := c.State("")
	equal(t, "operations", s.Counters.Operations, 1+2000)
	equal(t, "invalid", s.Counters.Invalid, 12)
	if err := c.Configure("", func(s *Settings) { s.OverLimit, s.Identifiers = "drop", "id" }); err != nil {
		t.Fatal(err)
	}
	c.v1(t, 200, "POST", "/api/v1/segments/1/add_customers", ids(1001))
	equal(t, "dropped", text(c.State("").Drops[DropOverLimit], segments(c.State(""))), "1 vips:; active:")
	c.v1(t, 400, "POST", "/api/v1/segments/1/add_customers?id_type=email", ids(1))
}

func TestAppSegments(t *testing.T) {
	c := newClient(t, func(s *Settings) { s.AppPerSecond = 0 })
	created := func(body string) string {
		t.Helper()
		return timestampsOf.ReplaceAllString(strings.TrimSpace(c.v1(t, 200, "POST", "/v1/segments", body)), "T")
	}
	const vips = `{"id":1,"deduplicate_id":"1:T","name":"VIPs","description":"the best","state":"finished","progress":null,"type":"manual","tags":null,"created_at":T,"updated_at":T}`
	equal(t, "create", created(`{"segment":{"name":"VIPs","description":"the best"}}`), `{"segment":`+vips+`}`)
	active := strings.NewReplacer(`"id":1,"deduplicate_id":"1:`, `"id":2,"deduplicate_id":"2:`, "VIPs", "Active", "the best", "", "manual", "dynamic").Replace(vips)
	c.AddSegment("", "Active", true)
	created(`{"segment":{"name":"VIPs"}}`) // a name is nobody's
	c.must(identifyItem(`{"id":"1"}`, `{"email":"a@b.c"}`, 0), identifyItem(`{"email":"d@e.f"}`, `{}`, 0), identifyItem(`{"id":"3"}`, `{}`, 0))
	c.v1(t, 200, "POST", "/api/v1/segments/1/add_customers?id_type=cio_id", `{"ids":["a3000003","a3000001","a3000002"]}`)

	for _, r := range []struct {
		method, path, body string
		status             int
		answer             string
	}{
		{"GET", "/v1/segments", "", 200, `{"segments":[` + vips + `,` + active + `,` + strings.NewReplacer(`"id":1,"deduplicate_id":"1:`, `"id":3,"deduplicate_id":"3:`, "the best", "").Replace(vips) + `]}`},
		{"GET", "/v1/segments/1", "", 200, `{"segment":` + vips + `}`},
		{"GET", "/v1/segments/9", "", 404, ``},
		{"GET", "/v1/segments/VIPs", "", 404, ``},
		{"GET", "/v1/segments/1/customer_count", "", 200, `{"count":3,"segment_id":1}`},
		{"GET", "/v1/segments/2/customer_count", "", 200, `{"count":0,"segment_id":2}`},
		{"GET", "/v1/segments/9/customer_count", "", 404, ``},
		{"GET", "/v1/segments/1/used_by", "", 200, `{"segment_id":1,"used_by":{"campaigns":[],"draft_newsletters":[],"sent_newsletters":[]}}`},
		{"GET", "/v1/segments/2/membership", "", 200, `{"identifiers":[],"ids":[],"next":"","segment_id":2}`},
		{"GET", "/v1/segments/1/membership", "", 200, `{"identifiers":[{"cio_id":"a3000001","email":"a@b.c","id":"1"},{"cio_id":"a3000002","email":"d@e.f","id":null},{"cio_id":"a3000003","email":null,"id":"3"}],"ids":["1","","3"],"next":"","segment_id":1}`},
		{"GET", "/v1/segments/1/membership?limit=30000", "", 200, ``},
		{"GET", "/v1/segments/1/membership?limit=30001", "", 400, ``},
		{"GET", "/v1/segments/1/membership?start=1", "", 400, ``},
		{"GET", "/v1/customers/1/segments", "", 200, `{"segments":[{"id":1,"name":"VIPs","description":"the best"}]}`},
		{"GET", "/v1/customers/d%40e.f/segments?id_type=email", "", 200, `{"segments":[{"id":1,"name":"VIPs","description":"the best"}]}`},
		{"GET", "/v1/customers/9/segments", "", 404, ``},
		{"POST", "/v1/segments", `{"segment":{"name":" "}}`, 400, `{"errors":[{"detail":"segment.name cannot be empty","status":"400"}]}`},
		{"POST", "/v1/segments", `{"segment":{"name":1}}`, 400, `{"errors":[{"detail":"name must be a string","status":"400"}]}`},
		{"POST", "/v1/segments", `{"segment":[]}`, 400, `{"errors":[{"detail":"segment must be an object","status":"400"}]}`},
		{"POST", "/v1/segments", `{"name":"x"}`, 400, ``},
		{"POST", "/v1/segments", `{`, 400, ``},
		{"DELETE", "/v1/segments/2", "", 400, `{"errors":[{"detail":"only manual segments can be deleted","status":"400"}]}`},
		{"DELETE", "/v1/segments/9", "", 404, ``},
		{"DELETE", "/v1/segments/3", "", 204, ``},
		{"GET", "/v1/segments/3", "", 404, ``},
		{"PUT", "/v1/segments/1", `{"segment":{"name":"x"}}`, 501, ``},
	} {
		status, body := c.do(r.method, r.path, r.body)
		equal(t, r.method+" "+r.path+" "+r.body, status, r.status)
		if body = timestampsOf.ReplaceAllString(strings.TrimSpace(body), "T"); r.answer != "" {
			equal(t, r.method+" "+r.path+" "+r.body, body, r.answer)
		}
	}

	var ids []string
	tokens := map[string]bool{}
	for next := ""; ; {
		var v struct {
			IDs  []string
			Next string
		}
		decode(t, c.v1(t, 200, "GET", "/v1/segments/1/membership?limit=1&start="+next, ""), &v)
		ids = append(ids, v.IDs...)
		if next = v.Next; next == "" {
			break
		}
		if strings.Contains(next, "a300") || tokens[next] {
			t.Errorf("token %s", next)
		}
		tokens[next] = true
	}
	equal(t, "page by page", fmt.Sprintf("%q", ids), `["1" "" "3"]`)

	if err := c.Configure("", func(s *Settings) { s.DuplicateNames, s.Identifiers = "reject", "id" }); err != nil {
		t.Fatal(err)
	}
	c.v1(t, 400, "POST", "/v1/segments", `{"segment":{"name":"VIPs"}}`)
	_, body := c.do("GET", "/v1/segments/1/membership?limit=1", "")
	equal(t, "ids only", strings.Contains(body, `"identifiers":[{"cio_id":"a3000001","id":"1"}]`), true)
	c.v1(t, 204, "DELETE", "/v1/segments/1", "")
	equal(t, "left", segments(c.State("")), "Active:")
	c.workspaces[0].check(t)
}

// TestSegmentCallsAreInOrder: a membership is applied after what was accepted
// of its person before it, and before what comes later, while others overtake.
func TestSegmentCallsAreInOrder(t *testing.T) {
	bubble(t, func(s *Settings) { s.LagJitter = Duration(time.Minute) }, func(t *testing.T, c *client) {
		c.AddSegment("", "vips", false)
		overtook := false
		for i := range 40 {
			who := fmt.Sprintf(`{"id":"%d"}`, i)
			c.must(identifyItem(who, `{}`, 0))
			c.v1(t, 200, "POST", "/api/v1/segments/1/add_customers", fmt.Sprintf(`{"ids":["%d","other"]}`, i))
			if i%2 == 0 {
				c.v1(t, 200, "POST", "/api/v1/segments/1/remove_customers", fmt.Sprintf(`{"ids":["%d"]}`, i))
			}
		}
		for range 90 {
			time.Sleep(time.Second)
			s := c.State("")
			overtook = overtook || len(s.People) > 0 && len(s.People) < 40
		}
		if err := c.Settle(t.Context()); err != nil {
			t.Fatal(err)
		}
		s := c.State("")
		v, _ := s.Segment("vips")
		equal(t, "members", len(v.Members), 20)
		equal(t, "nobody but the other was missed", s.Drops[DropUnknownMember], 40)
		equal(t, "others overtook", overtook, true)
		got := c.Accepted("", "membership:1 id:7")
		equal(t, "accepted", text(len(got), got[0].Action, got[0].Index, got[0].Names()), "1 add_customers 0 [id:7 membership:1 id:7]")
	})
}

// TestSegmentDeletedMeanwhile: what is accepted waits, and then there is no
// segment.
func TestSegmentDeletedMeanwhile(t *testing.T) {
	bubble(t, func(s *Settings) { s.Lag = Duration(time.Second) }, func(t *testing.T, c *client) {
		c.AddSegment("", "vips", false)
		c.must(identifyItem(`{"id":"1"}`, `{}`, 0))
		c.v1(t, 200, "POST", "/api/v1/segments/1/add_customers", `{"ids":["1"]}`)
		equal(t, "not yet", segments(c.State("")), "vips:")
		c.v1(t, 204, "DELETE", "/v1/segments/1", "")
		if err := c.Settle(t.Context()); err != nil {
			t.Fatal(err)
		}
		equal(t, "dropped", c.State("").Drops[DropUnknownSegment], 1)
		c.v1(t, 200, "POST", "/v1/segments", `{"segment":{"name":"vips"}}`)
		equal(t, "another", c.State("").Segments[0].ID, 2)
	})
}

// TestObjectsAreInOrder writes one object, and its relationships, under every
// name there is while others overtake.
func TestObjectsAreInOrder(t *testing.T) {
	bubble(t, func(s *Settings) { s.LagJitter = Duration(time.Minute) }, func(t *testing.T, c *client) {
		c.must(ofObject("identify", acme, ""))
		if err := c.Settle(t.Context()); err != nil {
			t.Fatal(err)
		}
		names := []string{acme, `{"cio_object_id":"ob7f000001"}`}
		for n := range 40 {
			other := objectID("1", fmt.Sprint(n))
			c.batch(
				ofObject("identify", other, ""),
				identifyItem(fmt.Sprintf(`{"id":"%d"}`, n), `{}`, 0),
				relates(fmt.Sprintf(`{"id":"%d"}`, n), other, fmt.Sprintf(`{"n":%d}`, n)),
				ofObject("identify", names[n%2], fmt.Sprintf(`"attributes":{"n":%d}`, n)),
				relates(fmt.Sprintf(`{"id":"%d"}`, n), names[n%2], fmt.Sprintf(`{"n":%d}`, n)),
				unrelates(fmt.Sprintf(`{"id":"%d"}`, n), names[(n+1)%2]),
			)
		}
		overtook := false
		for range 60 {
			time.Sleep(time.Second)
			o, _ := c.State("").Object("1", "acme")
			overtook = overtook || o.Value("n") != "39" && len(c.State("").People) == 40
		}
		if err := c.Settle(t.Context()); err != nil {
			t.Fatal(err)
		}
		s := c.State("")
		o, _ := s.Object("1", "acme")
		equal(t, "acme", text(o.Value("n"), len(o.People), len(s.Objects)), "39 0 41")
		equal(t, "ghosts or misses", text(s.Notices[NoticeGhost], s.Notices[NoticeGhostObject], s.Notices[NoticeRelationshipUnknown], len(s.Drops)), "0 0 0 0")
		equal(t, "others overtook", overtook, true)
	})
}

// TestFaultsOfSegmentsAndCollections: a request that meets one happens or not
// as with any other.
func TestFaultsOfSegmentsAndCollections(t *testing.T) {
	for _, r := range []struct{ method, path, body, what string }{
		{"POST", "/api/v1/segments/1/add_customers", `{"ids":["1"]}`, "vips: id:1; "},
		{"POST", "/v1/segments", `{"segment":{"name":"new"}}`, "vips:; new:; "},
		{"POST", "/v1/collections", `{"name":"c","data":[]}`, "vips:; c"},
		{"POST", "/api/v1/merge_customers", `{"primary":{"id":"1"},"secondary":{"id":"2"}}`, "vips:; merged"},
	} {
		for _, f := range []struct {
			fault   Fault
			status  int // 0: an error
			happens bool
		}{
			{Fault{Kind: "status", Status: 429, RetryAfter: 2}, 429, false},
			{Fault{Kind: "status", Status: 503}, 503, false},
			{Fault{Kind: "status", Status: 524, Applied: true}, 524, true},
			{Fault{Kind: "unreachable"}, 0, false},
			{Fault{Kind: "reset_before"}, 0, false},
			{Fault{Kind: "reset_after"}, 0, true},
			{Fault{Kind: "truncate"}, -1, true},
			{Fault{Kind: "html"}, 200, false},
			{Fault{Kind: "redirect"}, 307, false},
			{Fault{Kind: "slow", Delay: Duration(time.Hour)}, 200, true},
		} {
			synctest.Test(t, func(t *testing.T) {
				c := newClient(t)
				c.must(identifyItem(`{"id":"1"}`, `{}`, 0), identifyItem(`{"id":"2"}`, `{}`, 0))
				c.AddSegment("", "vips", false)
				f.fault.Path = r.path
				if err := c.SetFaults(f.fault); err != nil {
					t.Fatal(err)
				}
				response, err := c.http.Do(c.request(r.method, r.path, r.body))
				name := r.path + " " + f.fault.Kind
				switch {
				case f.status == 0:
					equal(t, name+": error", err != nil, true)
				case err != nil:
					t.Errorf("%s: %v", name, err)
				case f.status > 0:
					equal(t, name, response.StatusCode, f.status)
				default:
					equal(t, name, response.StatusCode, http.StatusOK)
				}
				if err := c.Settle(t.Context()); err != nil {
					t.Fatal(err)
				}
				s := c.State("")
				now := segments(s) + "; "
				for _, v := range s.Collections {
					now += v.Name
				}
				if len(s.People) == 1 {
					now += "merged"
				}
				equal(t, name+": happened", now == r.what, f.happens)
			})
		}
	}
}
