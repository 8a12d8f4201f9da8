package simulator

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

const ulid = "01BX5ZZKBKACTAV9WEVGEMMVRY"

func eventOf(id, rest string) string {
	return asks("event", fmt.Sprintf(`{"id":%q}`, id), rest)
}

func TestEventsDeduplicate(t *testing.T) {
	for _, c := range []struct {
		name     string
		set      func(*Settings)
		events   []string
		kept     int
		received int64 // of the first
		reused   int64
	}{
		{"the same", nil, []string{eventOf("1", `"name":"a","id":"`+ulid+`"`), eventOf("1", `"name":"a","id":"`+ulid+`"`)}, 1, 2, 0},
		{"in lower case", nil, []string{eventOf("1", `"name":"a","id":"`+ulid+`"`), eventOf("1", `"name":"a","id":"01bx5zzkbkactav9wevgemmvry"`)}, 1, 2, 0},
		{"of another person", nil, []string{eventOf("1", `"name":"a","id":"`+ulid+`"`), eventOf("2", `"name":"a","id":"`+ulid+`"`)}, 1, 2, 1},
		{"of another name", nil, []string{eventOf("1", `"name":"a","id":"`+ulid+`"`), eventOf("1", `"name":"b","id":"`+ulid+`"`)}, 1, 2, 1},
		{"with other data", nil, []string{eventOf("1", `"name":"a","id":"`+ulid+`"`), eventOf("1", `"name":"a","id":"`+ulid+`","attributes":{"x":1}`)}, 1, 2, 1},
		{"after the person came back", nil, []string{eventOf("1", `"name":"a","id":"`+ulid+`"`), asks("delete", `{"id":"1"}`, ""), identifyItem(`{"id":"1"}`, `{}`, 0), eventOf("1", `"name":"a","id":"`+ulid+`"`)}, 1, 2, 0},
		{"without ids", nil, []string{eventOf("1", `"name":"a"`), eventOf("1", `"name":"a"`)}, 2, 1, 0},
		{"no ULIDs", func(s *Settings) { s.NonULID = "accept" }, []string{eventOf("1", `"name":"a","id":"e1"`), eventOf("1", `"name":"a","id":"e1"`)}, 2, 1, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.set == nil {
				c.set = func(*Settings) {}
			}
			cl := newClient(t, c.set)
			cl.must(identifyItem(`{"id":"1"}`, `{}`, 0), identifyItem(`{"id":"2"}`, `{}`, 0))
			cl.must(c.events...)
			s := cl.State("")
			equal(t, "kept", len(s.Events), c.kept)
			equal(t, "received", s.Events[0].Received, c.received)
			equal(t, "reused", s.Notices[NoticeEventIDReused], c.reused)
			equal(t, "dropped", s.Drops[DropDuplicateEvent], c.received-1)
		})
	}
}

func TestEventTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t)
		now := time.Now().Unix()
		at := func(timestamp int64) string {
			return eventOf("1", fmt.Sprintf(`"name":"a","timestamp":%d`, timestamp))
		}
		c.must(at(now), at(now-72*3600), at(now-72*3600-1), at(now+1), at(now*1000), eventOf("1", `"name":"a"`))
		s := c.State("")
		for i, want := range []bool{true, true, false, true, true, true} {
			equal(t, fmt.Sprintf("event %d triggers", i), s.Events[i].Triggers, want)
		}
		equal(t, "own time", s.Events[5].Timestamp, now)
		for n, want := range map[Notice]int64{NoticeOldEvent: 1, NoticeFuture: 1, NoticeMilliseconds: 1, NoticeNoTimestamp: 1, NoticeGhost: 1} {
			equal(t, string(n), s.Notices[n], want)
		}
	})
}

func TestEventsStayWithThePerson(t *testing.T) {
	c := newClient(t)
	c.must(identifyItem(`{"id":"1"}`, `{"email":"a@b.c"}`, 0), asks("event", `{"email":"a@b.c"}`, `"name":"a"`),
		asks("page", `{"id":"1"}`, `"name":"/"`), identifyItem(`{"cio_id":"a3000001"}`, `{"id":"2"}`, 0),
		asks("event", `{"cio_id":"a3000009"}`, `"name":"lost"`))
	s := c.State("")
	equal(t, "events", len(s.EventsOf("id:2")), 2)
	equal(t, "kind", s.Events[1].Kind, "page")
	equal(t, "lost", s.Drops[DropUnknownCioID], 1)
	c.must(asks("delete", `{"id":"2"}`, ""))
	equal(t, "events", len(c.State("").EventsOf("id:2")), 2)
}

func TestReservedEventKeys(t *testing.T) {
	c := newClient(t)
	c.must(eventOf("1", `"name":"a","attributes":{"recipient":"a@b.c","from_address":"x","reply_to":"y","z":1},"extra":1`))
	equal(t, "reserved", c.State("").Notices[NoticeReservedKey], 3)
	equal(t, "unknown", c.State("").Notices[NoticeUnknownField], 1)
}

func TestDevices(t *testing.T) {
	c := newClient(t)
	add := func(id, rest string) string {
		return asks("add_device", fmt.Sprintf(`{"id":%q}`, id), `"device":{"token":"t",`+rest+`}`)
	}
	c.must(identifyItem(`{"id":"1"}`, `{}`, 0), identifyItem(`{"id":"2"}`, `{}`, 0),
		add("1", `"platform":"ios","last_used":"7","attributes":{"a":"1","b":"2","_last_status":"sent"}`),
		add("1", `"platform":"android","attributes":{"a":null,"c":"3"}`),
		add("2", `"platform":"ios"`))
	s := c.State("")
	equal(t, "owners", fmt.Sprint(s.Owners("t")), "[id:1 id:2]") // no source moves a token
	d := c.person("id:1").Devices[0]
	equal(t, "device", text(d.Platform, d.Attributes), "android map[b:2 c:3]")
	equal(t, "read-only", s.Notices[NoticeReadOnly], 1)

	remove := asks("delete_device", `{"id":"1"}`, `"device":{"token":"t"}`)
	c.must(remove, remove, asks("delete_device", `{"id":"9"}`, `"device":{"token":"t"}`))
	equal(t, "owners", fmt.Sprint(c.State("").Owners("t")), "[id:2]")
	equal(t, "not there", c.State("").Notices[NoticeDeviceUnknown], 2)
	c.must(asks("delete", `{"id":"2"}`, ""), identifyItem(`{"id":"2"}`, `{}`, 0))
	equal(t, "owners", fmt.Sprint(c.State("").Owners("t")), "[]")
}

func TestSuppression(t *testing.T) {
	c := newClient(t)
	c.must(identifyItem(`{"id":"1"}`, `{"email":"A@b.c","n":1}`, 0), asks("suppress", `{"id":"1"}`, ""))
	equal(t, "suppressed", fmt.Sprint(c.State("").Suppressed), "[cio_id:a3000001 email:a@b.c id:1]")
	c.must(
		identifyItem(`{"id":"1"}`, `{}`, 0), identifyItem(`{"email":"a@B.c"}`, `{}`, 0), identifyItem(`{"id":"2"}`, `{"email":"a@b.c"}`, 0),
		eventOf("1", `"name":"a"`), asks("add_device", `{"email":"a@b.c"}`, `"device":{"token":"t","platform":"ios"}`),
		asks("delete_device", `{"id":"1"}`, `"device":{"token":"t"}`), asks("suppress", `{"id":"1"}`, ""))
	s := c.State("")
	equal(t, "people", people(s), "")
	equal(t, "ignored", s.Drops[DropSuppressed], 6)
	equal(t, "events", len(s.Events), 0)

	c.must(asks("unsuppress", `{"email":"a@b.c"}`, ""), asks("unsuppress", `{"id":"1"}`, ""))
	equal(t, "suppressed", len(c.State("").Suppressed), 0)
	equal(t, "nobody comes back", people(c.State("")), "")
	c.must(identifyItem(`{"id":"1"}`, `{"email":"a@b.c"}`, 0))
	equal(t, "people", people(c.State("")), "id:1 email:a@b.c")

	c.must(asks("suppress", `{"id":"unknown"}`, ""), identifyItem(`{"id":"unknown"}`, `{}`, 0), asks("suppress", `{"cio_id":"a3000099"}`, ""))
	equal(t, "people", people(c.State("")), "id:1 email:a@b.c")
	equal(t, "suppressed", fmt.Sprint(c.State("").Suppressed), "[id:unknown]")
}
