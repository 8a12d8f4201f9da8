package simulator

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestCollections(t *testing.T) {
	c := newClient(t, func(s *Settings) { s.AppPerSecond, s.CollectionContent = 0, "lines" })
	rows := func(n, size int) string {
		row := `{"a":"` + x(size-len(`{"a":""}`)) + `"}`
		return `[` + strings.TrimSuffix(strings.Repeat(row+",", n), ",") + `]`
	}
	// The example of the documentation, which tells its size.
	const example = `[
		{"eventName": "christmas", "eventDate": "2021-12-25T12:00:00.000Z", "presents": {"something_you_want": "toys", "something_you_need": "socks", "total": 2}},
		{"eventName": "birthday", "eventDate": "2021-03-15T12:00:00.000Z", "presents": {"something_you_want": "video games", "something_you_need": "books", "total": 2}}
	]`
	meta := func(id int, name string, rows, bytes int, schema string) string {
		return fmt.Sprintf(`{"bytes":%d,"created_at":T,"updated_at":T,"id":%d,"name":%q,"rows":%d,"schema":%s}`, bytes, id, name, rows, schema)
	}
	events := meta(1, "upcoming events", 2, 296, `["eventDate","eventName","presents"]`)
	one := func(c string) string { return `{"collection":` + c + `}` }
	refusal := func(detail string) string { return `{"errors":[{"detail":"` + detail + `","status":"400"}]}` }
	for _, r := range []struct {
		method, path, body string
		status             int
		answer             string
	}{
		{"GET", "/v1/collections", "", 200, `{"collections":[]}`},
		{"POST", "/v1/collections", `{"name":"upcoming events","data":` + example + `}`, 200, one(events)},
		{"POST", "/v1/collections", `{"name":"empty","data":[]}`, 200, one(meta(2, "empty", 0, 0, `[]`))},
		{"GET", "/v1/collections", "", 200, `{"collections":[` + events + `,` + meta(2, "empty", 0, 0, `[]`) + `]}`},
		{"GET", "/v1/collections/1", "", 200, one(events)},
		{"GET", "/v1/collections/9", "", 404, ``},
		{"GET", "/v1/collections/1/content", "", 200, `{"eventName":"christmas","eventDate":"2021-12-25T12:00:00.000Z","presents":{"something_you_want":"toys","something_you_need":"socks","total":2}}` + "\n" +
			`{"eventName":"birthday","eventDate":"2021-03-15T12:00:00.000Z","presents":{"something_you_want":"video games","something_you_need":"books","total":2}}`},
		{"GET", "/v1/collections/2/content", "", 200, ``},
		{"GET", "/v1/collections/9/content", "", 404, ``},

		// What is written replaces what there was.
		{"PUT", "/v1/collections/2", `{"data":[{"b":1},{"a":null}]}`, 200, one(meta(2, "empty", 2, 19, `["a","b"]`))},
		{"PUT", "/v1/collections/2", `{"data":[{"c":1}]}`, 200, one(meta(2, "empty", 1, 8, `["c"]`))},
		{"PUT", "/v1/collections/2", `{"name":"full"}`, 200, one(meta(2, "full", 1, 8, `["c"]`))},
		{"PUT", "/v1/collections/2", `{"name":"both","data":[]}`, 200, one(meta(2, "both", 0, 0, `[]`))},
		{"PUT", "/v1/collections/2/content", `{"d": 1}`, 200, one(meta(2, "both", 1, 8, `["d"]`))},
		{"GET", "/v1/collections/2/content", "", 200, `{"d":1}`},
		{"PUT", "/v1/collections/2/content", ` [{"e":1},{"e": 2}]`, 200, one(meta(2, "both", 2, 16, `["e"]`))},
		{"GET", "/v1/collections/2/content", "", 200, `{"e":1}` + "\n" + `{"e":2}`},
		{"PUT", "/v1/collections/2/content", `"d"`, 400, refusal("data must be an array")},
		{"PUT", "/v1/collections/2/content", `[1]`, 400, refusal("row 0 must be an object")},
		{"PUT", "/v1/collections/2/content", `[`, 400, refusal("malformed JSON")},
		{"PUT", "/v1/collections/9", `{"data":[]}`, 404, ``},
		{"PUT", "/v1/collections/9/content", `{}`, 404, ``},

		{"POST", "/v1/collections", `{"data":[]}`, 400, refusal("name is required")},
		{"POST", "/v1/collections", `{"name":"","data":[]}`, 400, refusal("name must be a string and cannot be empty")},
		{"POST", "/v1/collections", `{"name":1,"data":[]}`, 400, refusal("name must be a string and cannot be empty")},
		{"POST", "/v1/collections", `{"name":"x"}`, 400, refusal("data is required")},
		{"POST", "/v1/collections", `{"name":"x","data":{}}`, 400, refusal("data must be an array")},
		{"POST", "/v1/collections", `{"name":"x","data":[{},1]}`, 400, refusal("row 1 must be an object")},
		{"POST", "/v1/collections", `{"name":"x","data":[{"a":1,"a":2}]}`, 400, refusal("row 0 has the same key twice")},
		{"POST", "/v1/collections", `{"name":"x",`, 400, refusal("malformed JSON")},
		{"POST", "/v1/collections", `[]`, 400, refusal("the body must be an object")},
		{"POST", "/v1/collections", `{"name":"x","url":"https://example.com"}`, 501, ``},
		{"PUT", "/v1/collections/2", `{}`, 400, refusal("neither name nor data to change")},

		{"PUT", "/v1/collections/2", `{"data":` + rows(1, 10_000) + `}`, 200, one(meta(2, "both", 1, 10_001, `["a"]`))},
		{"PUT", "/v1/collections/2", `{"data":` + rows(1, 10_001) + `}`, 400, refusal("row 0 of 10001 bytes is larger than 10000")},
		{"PUT", "/v1/collections/2", `{"data":` + rows(1000, 9_999) + `}`, 200, one(meta(2, "both", 1000, 10_000_000, `["a"]`))},
		{"PUT", "/v1/collections/2", `{"data":` + rows(1001, 9_990) + `}`, 400, refusal("a collection of 10000991 bytes is larger than 10000000")},
		{"PUT", "/v1/collections/2/content", rows(1, 10_001)[1:10_002], 400, ``},
		{"GET", "/v1/collections/2", "", 200, one(meta(2, "both", 1000, 10_000_000, `["a"]`))},

		{"DELETE", "/v1/collections/2", "", 204, ``},
		{"DELETE", "/v1/collections/2", "", 404, ``},
		{"GET", "/v1/collections", "", 200, `{"collections":[` + events + `]}`},
	} {
		status, body := c.do(r.method, r.path, r.body)
		name := r.method + " " + r.path + " " + r.body[:min(60, len(r.body))]
		equal(t, name, status, r.status)
		if r.answer != "" {
			equal(t, name, timestampsOf.ReplaceAllString(strings.TrimSpace(body), "T"), r.answer)
		}
	}
	s := c.State("")
	v, _ := s.Collection("upcoming events")
	equal(t, "state", text(len(s.Collections), v.ID, len(v.Rows), v.Bytes, v.Writes), "1 1 2 296 1")
	equal(t, "noticed", text(s.Notices[NoticeCollectionRenamed], s.Notices[NoticeNotSimulatedYet]), "2 1")
	equal(t, "operations", s.Counters.Operations, 0)

	for i := range maxCollections {
		want := 200
		if i == maxCollections-1 {
			want = 400 // there is one already
		}
		c.v1(t, want, "POST", "/v1/collections", fmt.Sprintf(`{"name":"c%d","data":[]}`, i))
	}
	if err := c.Configure("", func(s *Settings) { s.DuplicateNames, s.CollectionContent = "reject", "array" }); err != nil {
		t.Fatal(err)
	}
	c.v1(t, 204, "DELETE", "/v1/collections/1", "")
	c.v1(t, 400, "POST", "/v1/collections", `{"name":"c0","data":[]}`)
	c.v1(t, 400, "PUT", "/v1/collections/3", `{"name":"c1"}`)
	c.v1(t, 200, "PUT", "/v1/collections/3", `{"name":"c0","data":[{"n": 1}]}`)
	equal(t, "an array", c.v1(t, 200, "GET", "/v1/collections/3/content", ""), `[{"n":1}]`+"\n")
	equal(t, "an empty array", c.v1(t, 200, "GET", "/v1/collections/4/content", ""), "[]\n")
}

// TestAppRate: ten requests a second, reads and writes together, and what is
// past them does not happen.
func TestAppRate(t *testing.T) {
	bubble(t, func(*Settings) {}, func(t *testing.T, c *client) {
		for i := range 12 {
			method, path, body := "POST", "/v1/segments", fmt.Sprintf(`{"segment":{"name":"%d"}}`, i)
			if i%2 == 0 {
				method, path, body = "GET", "/v1/segments", ""
			}
			response, err := c.http.Do(c.request(method, path, body))
			if err != nil {
				t.Fatal(err)
			}
			response.Body.Close()
			want, after := 200, ""
			if i >= 10 {
				want, after = 429, "1"
			}
			equal(t, fmt.Sprint(i), text(response.StatusCode, response.Header.Get("Retry-After")), text(want, after))
		}
		equal(t, "made", len(c.State("").Segments), 5)
		equal(t, "Track is apart", c.State("").Counters.PeakTrackPerSecond, 0)
		time.Sleep(time.Second)
		c.v1(t, 200, "POST", "/v1/segments", `{"segment":{"name":"x"}}`)
	})
}

// TestAppWritesMayBeReordered: of two writes unanswered at once either may be
// the last; a write that is answered is done.
func TestAppWritesMayBeReordered(t *testing.T) {
	bubble(t, func(s *Settings) {
		s.ReplyDelay, s.ReorderRequests, s.AppPerSecond, s.Lag = Duration(100*time.Millisecond), true, 0, Duration(time.Hour)
	}, func(t *testing.T, c *client) {
		start := time.Now()
		c.v1(t, 200, "POST", "/v1/collections", `{"name":"c","data":[]}`)
		equal(t, "answered after", time.Since(start), 100*time.Millisecond)
		seen := map[string]bool{}
		for range 40 {
			done := make(chan struct{})
			go func() {
				c.v1(t, 200, "PUT", "/v1/collections/1", `{"data":[{"n":1}]}`)
				close(done)
			}()
			time.Sleep(time.Millisecond)
			c.v1(t, 200, "PUT", "/v1/collections/1", `{"data":[{"n":2}]}`)
			<-done
			v, _ := c.State("").Collection("c")
			seen[string(v.Rows[0])] = true
		}
		equal(t, "either", len(seen), 2)

		// Of a client that gives up, some writes happen.
		happened := map[bool]int{}
		for i := range 20 {
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			row := fmt.Sprintf(`{"n":"given up %d"}`, i)
			r := c.request("PUT", "/v1/collections/1", `{"data":[`+row+`]}`)
			if _, err := c.http.Do(r.WithContext(ctx)); err == nil {
				t.Fatal("answered in time")
			}
			cancel()
			v, _ := c.State("").Collection("c")
			happened[string(v.Rows[0]) == row]++
		}
		if happened[true] == 0 || happened[false] == 0 {
			t.Errorf("happened: %v", happened)
		}
	})
}

// TestDumpOfAll: what is new appears where it is, and nothing of it where it
// is not.
func TestDumpOfAll(t *testing.T) {
	c := newClient(t, func(s *Settings) { s.AppPerSecond = 0 })
	c.must(identifyItem(`{"id":"1"}`, `{}`, 0))
	for _, o := range []DumpOptions{{}, {Times: true, IDs: true, Counts: true}} {
		dump := string(c.Dump(o))
		for _, word := range []string{"objects", "segments", "collections", "relationships"} {
			if strings.Contains(dump, word) {
				t.Errorf("%s in the dump of one person: %s", word, dump)
			}
		}
	}
	c.must(ofObject("identify", objectID("2", "z"), ""), ofObject("identify", acme, `"attributes":{"name":"<Acme>"}`),
		relates(`{"id":"1"}`, acme, `{"role":"admin"}`), relates(`{"id":"1"}`, objectID("2", "z"), `{}`))
	c.AddSegment("", "vips", false)
	c.AddSegment("", "active", true)
	c.v1(t, 200, "POST", "/api/v1/segments/1/add_customers", `{"ids":["1"]}`)
	c.v1(t, 200, "POST", "/v1/collections", `{"name":"zoo","data":[{"b":1},{"a":2}]}`)
	c.v1(t, 200, "POST", "/v1/collections", `{"name":"ark","data":[]}`)
	var b strings.Builder
	for _, line := range strings.Split(string(c.Dump(DumpOptions{})), "\n") {
		b.WriteString(strings.TrimSpace(line))
	}
	equal(t, "dump", b.String(), `{"workspaces": {"main": {"people": [{"id": "1","attributes": {},"segments": ["vips"],"relationships": [{"object": "1/acme","attributes": {"role": "admin"}},{"object": "2/z"}]}],`+
		`"objects": [{"type": "1","id": "acme","attributes": {"name": "<Acme>"},"people": ["id:1"]},{"type": "2","id": "z","attributes": {},"people": ["id:1"]}],`+
		`"segments": [{"name": "active","dynamic": true,"members": []},{"name": "vips","members": ["id:1"]}],`+
		`"collections": [{"name": "ark","rows": []},{"name": "zoo","rows": [{"b": 1},{"a": 2}]}],"events": [],"suppressed": []}}}`)
	full := string(c.Dump(DumpOptions{Times: true, IDs: true, Counts: true}))
	for _, part := range []string{`"cio_object_id": "ob7f000001"`, `"writes": 1`, `"members": []`} {
		if !strings.Contains(full, part) {
			t.Errorf("no %s in %s", part, full)
		}
	}
	if !json.Valid([]byte(full)) {
		t.Error("no JSON")
	}
	c.Reset()
	equal(t, "reset", strings.Contains(string(c.Dump(DumpOptions{})), "vips"), false)
}
