package simulator

import (
	"fmt"
	"strings"
	"testing"
)

func TestAttributes(t *testing.T) {
	at := func(timestamp int64, attributes string) string {
		return identifyItem(`{"id":"1"}`, attributes, timestamp)
	}
	for _, c := range []struct {
		name  string
		set   func(*Settings)
		asked []string
		want  string // of attribute x
	}{
		{name: "newer wins", asked: []string{at(1, `{"x":1}`), at(2, `{"x":2}`)}, want: `2`},
		{name: "older loses", asked: []string{at(2, `{"x":2}`), at(1, `{"x":1}`)}, want: `2`},
		{name: "per attribute", asked: []string{at(5, `{"y":1}`), at(1, `{"x":1}`)}, want: `1`},
		{name: "tie: later", asked: []string{at(1, `{"x":1}`), at(1, `{"x":2}`)}, want: `2`},
		{name: "tie: earlier", set: func(s *Settings) { s.Tie = "earlier" }, asked: []string{at(1, `{"x":1}`), at(1, `{"x":2}`)}, want: `1`},
		{name: "null removes", asked: []string{at(1, `{"x":1}`), at(2, `{"x":null}`)}},
		{name: "older null loses", asked: []string{at(2, `{"x":1}`), at(1, `{"x":null}`)}, want: `1`},
		{name: "a removal is remembered", asked: []string{at(2, `{"x":null}`), at(1, `{"x":1}`)}},
		{name: "empty removes", asked: []string{at(1, `{"x":1}`), at(2, `{"x":""}`)}},
		{name: "empty is kept", set: func(s *Settings) { s.EmptyString = "keep" }, asked: []string{at(1, `{"x":""}`)}, want: `""`},
		{name: "nested replaces whole", asked: []string{at(1, `{"x":{"a":1,"b":2}}`), at(2, `{"x":{"c":3}}`)}, want: `{"c":3}`},
		{name: "path writes a leaf", asked: []string{at(1, `{"x":{"a":1,"b":2}}`), at(2, `{"x.b":3}`)}, want: `{"a":1,"b":3}`},
		{name: "deep path", asked: []string{at(1, `{"x":{"a":{"b":1}}}`), at(2, `{"x.a.c":2}`)}, want: `{"a":{"b":1,"c":2}}`},
		{name: "path makes the object", asked: []string{at(1, `{"x.a.b":1}`)}, want: `{"a":{"b":1}}`},
		{name: "path over a scalar", asked: []string{at(1, `{"x":5}`), at(2, `{"x.a":1}`)}, want: `{"a":1}`},
		{name: "path removes a leaf", asked: []string{at(1, `{"x":{"a":1,"b":2}}`), at(2, `{"x.a":null}`)}, want: `{"b":2}`},
		{name: "older path loses", asked: []string{at(2, `{"x":{"a":1}}`), at(1, `{"x.a":2}`)}, want: `{"a":1}`},
		{name: "paths have times of their own", asked: []string{at(3, `{"x.a":1}`), at(2, `{"x.b":2}`)}, want: `{"a":1,"b":2}`},
		{name: "older whole loses to a newer path", asked: []string{at(3, `{"x.a":1}`), at(2, `{"x":{"b":2}}`)}, want: `{"a":1}`},
		{name: "whole and path in one request", set: func(s *Settings) { s.Tie = "earlier" }, asked: []string{at(1, `{"x.b":2,"x":{"a":1}}`)}, want: `{"a":1,"b":2}`},
		{name: "no path", asked: []string{at(1, `{"x":1,"x.":2,".x":3,"a..b":4}`)}, want: `1`},
		{name: "as sent", asked: []string{at(1, `{"x":[1, "<&>", {"a": 1.50}]}`)}, want: `[1,"<&>",{"a":1.50}]`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.set == nil {
				c.set = func(*Settings) {}
			}
			cl := newClient(t, c.set)
			cl.must(c.asked...)
			equal(t, "x", cl.person("id:1").Value("x"), c.want)
		})
	}
}

func TestTieIsTossed(t *testing.T) {
	c := newClient(t, func(s *Settings) { s.Tie = "random" })
	seen := make(map[string]int)
	for i := range 40 {
		id := fmt.Sprintf(`{"id":"%d"}`, i)
		c.must(identifyItem(id, `{"n":1}`, 1), identifyItem(id, `{"n":2}`, 1))
		seen[c.person(fmt.Sprintf("id:%d", i)).Value("n")]++
	}
	if seen["1"] == 0 || seen["2"] == 0 || seen["1"] != int(c.State("").Drops[DropTie]) {
		t.Errorf("%v, %d lost", seen, c.State("").Drops[DropTie])
	}
}

func TestThreeHundredInTotal(t *testing.T) {
	c := newClient(t)
	var list []string
	for i := range 299 {
		list = append(list, fmt.Sprintf(`"a%d":1`, i))
	}
	c.must(
		identifyItem(`{"id":"1"}`, "{"+strings.Join(list, ",")+"}", 1),
		identifyItem(`{"id":"1"}`, `{"b1":1,"b2":2}`, 2), // one too many
		identifyItem(`{"id":"1"}`, `{"b1":null}`, 3),
		identifyItem(`{"id":"1"}`, `{"b3":3,"a1":2}`, 4),
		identifyItem(`{"id":"1"}`, `{"b4.x":3}`, 5), // one too many
	)
	p := c.person("id:1")
	equal(t, "attributes", len(p.Attributes), 300)
	equal(t, "b2", p.Value("b2"), "")
	equal(t, "b3", p.Value("b3"), "3")
	equal(t, "a1", p.Value("a1"), "2")
	equal(t, "drops", c.State("").Drops[DropTotalAttributes], 2)
	equal(t, "failed", len(c.State("").FailedAttributeChanges), 2)
}
