package simulator

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// client speaks to a simulator through its in-memory door.
type client struct {
	*Simulator
	t    testing.TB
	http *http.Client
}

func newClient(t testing.TB, change ...func(*Settings)) *client {
	t.Helper()
	w := DefaultWorkspace()
	settings := DefaultSettings()
	for _, c := range change {
		c(&settings)
	}
	w.Settings = &settings
	return newClientOf(t, Options{Workspaces: []Workspace{w}, Seed: 1})
}

func newClientOf(t testing.TB, o Options) *client {
	t.Helper()
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return &client{s, t, &http.Client{
		Transport:     s.Transport(),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

func (c *client) request(method, path, body string) *http.Request {
	c.t.Helper()
	host := "https://track.customer.io"
	if !strings.HasPrefix(path, "/api/") {
		host = "https://api.customer.io"
	}
	r, err := http.NewRequest(method, host+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	if strings.HasPrefix(path, "/api/") {
		r.SetBasicAuth("site-id", "track-api-key")
	} else {
		r.Header.Set("Authorization", "Bearer app-api-key")
	}
	return r
}

// do sends a request and returns status and body.
func (c *client) do(method, path, body string) (int, string) {
	c.t.Helper()
	return c.send(c.request(method, path, body))
}

func (c *client) send(r *http.Request) (int, string) {
	c.t.Helper()
	response, err := c.http.Do(r)
	if err != nil {
		c.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

func (c *client) batch(items ...string) (int, string) {
	c.t.Helper()
	return c.do("POST", "/api/v2/batch", `{"batch":[`+strings.Join(items, ",")+`]}`)
}

// must sends items one request each and expects them to be accepted.
func (c *client) must(items ...string) {
	c.t.Helper()
	for _, it := range items {
		if status, body := c.do("POST", "/api/v2/entity", it); status != 200 || body != "{}\n" {
			c.t.Fatalf("%s: %d %s", it, status, body)
		}
	}
}

func (c *client) person(name string) Person {
	c.t.Helper()
	p, ok := c.State("").Person(name)
	if !ok {
		c.t.Fatalf("no person %s among %s", name, people(c.State("")))
	}
	return p
}

// people is a short text of who is there: "id:1 email:a@b.c plan=\"x\"; …".
func people(s State) string {
	var list []string
	for _, p := range s.People {
		var parts []string
		for _, part := range [][2]string{{"id", p.ID}, {"email", p.Email}, {"phone", p.Phone}} {
			if part[1] != "" {
				parts = append(parts, part[0]+":"+part[1])
			}
		}
		for _, name := range []string{"n", "plan"} {
			if v := p.Value(name); v != "" {
				parts = append(parts, name+"="+v)
			}
		}
		if p.Ghost {
			parts = append(parts, "ghost")
		}
		list = append(list, strings.Join(parts, " "))
	}
	return strings.Join(list, "; ")
}

func asks(action, identifiers, rest string) string {
	if rest != "" {
		rest = "," + rest
	}
	return fmt.Sprintf(`{"type":"person","action":%q,"identifiers":%s%s}`, action, identifiers, rest)
}

func identifyItem(identifiers, attributes string, timestamp int64) string {
	rest := `"attributes":` + attributes
	if timestamp != 0 {
		rest += fmt.Sprintf(`,"timestamp":%d`, timestamp)
	}
	return asks("identify", identifiers, rest)
}

func equal[T comparable](t testing.TB, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s:\n got %v\nwant %v", what, got, want)
	}
}

func decode(t testing.TB, body string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(body), into); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
}

// text joins values with spaces.
func text(values ...any) string { return strings.TrimSuffix(fmt.Sprintln(values...), "\n") }

const acme = `{"object_type_id":"1","object_id":"acme"}`

func objectID(typeID, id string) string {
	return fmt.Sprintf(`{"object_type_id":%q,"object_id":%q}`, typeID, id)
}

func ofObject(action, identifiers, rest string) string {
	if rest != "" {
		rest = "," + rest
	}
	return fmt.Sprintf(`{"type":"object","action":%q,"identifiers":%s%s}`, action, identifiers, rest)
}

// relates is one relationship, added to a person.
func relates(person, object, attributes string) string {
	return asks("add_relationships", person, oneRelationship(object, attributes))
}

func oneRelationship(identifiers, attributes string) string {
	return `"cio_relationships":[{"identifiers":` + identifiers + `,"relationship_attributes":` + attributes + `}]`
}

func unrelates(person, object string) string {
	return asks("delete_relationships", person, `"cio_relationships":[{"identifiers":`+object+`}]`)
}

func merges(primary, secondary string) string {
	return `{"type":"person","action":"merge","primary":` + primary + `,"secondary":` + secondary + `}`
}

// objects is a short text of the objects there are and who is related to them:
// `1/acme n=1 (id:1 role="x"); …`.
func objects(s State) string {
	var list []string
	for _, o := range s.Objects {
		parts := []string{o.Type + "/" + o.ID}
		parts = append(parts, values(o.Attributes)...)
		if o.Ghost {
			parts = append(parts, "ghost")
		}
		for _, who := range o.People {
			p, _ := s.Person(who)
			r, ok := p.Relationship(o.Type, o.ID)
			if !ok {
				parts = append(parts, "one-sided:")
			}
			parts = append(parts, "("+strings.Join(append([]string{who}, values(r.Attributes)...), " ")+")")
		}
		list = append(list, strings.Join(parts, " "))
	}
	return strings.Join(list, "; ")
}

func values(set map[string]Attribute) (list []string) {
	for _, name := range slices.Sorted(maps.Keys(set)) {
		list = append(list, name+"="+string(set[name].Value))
	}
	return list
}
