package customerio

import (
	"strconv"
	"strings"
	"testing"
)

// TestLimitsAtTheirByte stands on both sides of every limit.
func TestLimitsAtTheirByte(t *testing.T) {
	quoted := func(s string) []byte { return AppendString(nil, s) }
	attributes := func(n int) (a []Attribute) {
		for i := range n {
			a = append(a, Attribute{Name: "a" + strconv.Itoa(i), Value: []byte("1")})
		}
		return a
	}
	check := func(op Operation) string {
		if op.Person.Value == "" {
			op.Person = Identifier{ID, "1"}
		}
		return op.Check()
	}
	for name, c := range map[string]struct{ fits, over string }{
		"id":                    {CheckIdentifier(Identifier{ID, strings.Repeat("x", 150)}), CheckIdentifier(Identifier{ID, strings.Repeat("x", 151)})},
		"id in bytes":           {CheckIdentifier(Identifier{ID, strings.Repeat("é", 75)}), CheckIdentifier(Identifier{ID, strings.Repeat("é", 75) + "x"})},
		"id of one byte":        {CheckIdentifier(Identifier{ID, "0"}), CheckIdentifier(Identifier{ID, ""})},
		"id of space":           {CheckIdentifier(Identifier{ID, " x "}), CheckIdentifier(Identifier{ID, " \t"})},
		"id in UTF-8":           {CheckIdentifier(Identifier{ID, "\u00ff"}), CheckIdentifier(Identifier{ID, "\xff"})},
		"attribute name":        {CheckAttribute(strings.Repeat("x", 150), []byte("1")), CheckAttribute(strings.Repeat("x", 151), []byte("1"))},
		"attribute name empty":  {CheckAttributeName("x"), CheckAttributeName("")},
		"text":                  {CheckAttribute("a", quoted(strings.Repeat("x", 1000))), CheckAttribute("a", quoted(strings.Repeat("x", 1001)))},
		"text in bytes":         {CheckAttribute("a", quoted(strings.Repeat("漢", 333)+"x")), CheckAttribute("a", quoted(strings.Repeat("漢", 333)+"xy"))},
		"text that is escaped":  {CheckAttribute("a", quoted(strings.Repeat("\"", 1000))), CheckAttribute("a", quoted(strings.Repeat("\"", 1001)))},
		"text with escaped é":   {CheckAttribute("a", []byte(`"`+strings.Repeat(`\u00e9`, 500)+`"`)), CheckAttribute("a", []byte(`"`+strings.Repeat(`\u00e9`, 501)+`"`))},
		"number":                {CheckAttribute("a", []byte(strings.Repeat("1", 1000))), CheckAttribute("a", []byte(strings.Repeat("1", 1001)))},
		"nested, as serialised": {CheckAttribute("a", []byte(`["`+strings.Repeat("x", 996)+`"]`)), CheckAttribute("a", []byte(`["`+strings.Repeat("x", 997)+`"]`))},
		"event name":            {CheckEventName(strings.Repeat("x", 100)), CheckEventName(strings.Repeat("x", 101))},
		"event name in bytes":   {CheckEventName(strings.Repeat("é", 50)), CheckEventName(strings.Repeat("é", 50) + "x")},
		"event name of space":   {CheckEventName("x y"), CheckEventName("  ")},
		"attributes":            {check(Operation{Action: Identify, Attributes: attributes(300)}), check(Operation{Action: Identify, Attributes: attributes(301)})},
		"attributes, update only": {
			check(Operation{Action: Identify, UpdateOnly: true, Attributes: attributes(299)}),
			check(Operation{Action: Identify, UpdateOnly: true, Attributes: attributes(300)}),
		},
		"attributes of an event": {check(Operation{Action: Track, Name: "n", Attributes: attributes(301)}), check(Operation{Action: Track, Attributes: attributes(1)})},
		"item":                   {check(exactly(t, MaxItem)), check(exactly(t, MaxItem+1))},
		"identifier of an item":  {check(Operation{Action: Identify}), check(Operation{Action: Identify, Person: Identifier{ID, strings.Repeat("x", 151)}})},
	} {
		if c.fits != "" {
			t.Errorf("%s: what just fits is refused: %s", name, c.fits)
		}
		if c.over == "" {
			t.Errorf("%s: what is just over is taken", name)
		}
	}
}
