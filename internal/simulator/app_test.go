package simulator

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

func TestAuthorization(t *testing.T) {
	eu := Workspace{Name: "eu", SiteID: "s2", TrackKey: "t2", AppKey: "a2", EnvironmentID: 7, Region: "eu"}
	c := newClientOf(t, Options{Workspaces: []Workspace{DefaultWorkspace(), eu}})
	for _, test := range []struct {
		name, user, password, url string
		status                    int
		body, location            string
	}{
		{"region", "site-id", "track-api-key", "https://track.customer.io/api/v1/accounts/region", 200, `{"url":"https://track.customer.io","region":"us","environment_id":1}` + "\n", ""},
		{"region of eu", "s2", "t2", "https://track-eu.customer.io/api/v1/accounts/region", 200, `{"url":"https://track-eu.customer.io","region":"eu","environment_id":7}` + "\n", ""},
		{"eu workspace on the us host", "s2", "t2", "https://track.customer.io/api/v2/batch?x=1", 307, "", "https://track-eu.customer.io/api/v2/batch?x=1"},
		{"us workspace on the eu host", "site-id", "track-api-key", "https://track-eu.customer.io/api/v2/batch", 401, "", ""},
		{"wrong key", "site-id", "t2", "https://track.customer.io/api/v1/accounts/region", 401, "", ""},
		{"App key", "app-api-key", "", "https://track.customer.io/api/v1/accounts/region", 401, "", ""},
		{"nobody", "", "", "https://track.customer.io/api/v2/batch", 401, "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			method := "GET"
			if strings.Contains(test.url, "batch") {
				method = "POST"
			}
			r, err := http.NewRequest(method, test.url, nil)
			if err != nil {
				t.Fatal(err)
			}
			r.SetBasicAuth(test.user, test.password)
			response, err := c.http.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			response.Body.Close()
			equal(t, "status", response.StatusCode, test.status)
			equal(t, "location", response.Header.Get("Location"), test.location)
			_, body := c.send(r)
			equal(t, "body", body, test.body)
		})
	}
	equal(t, "unauthorized", c.Unauthorized(), 6)
	r := c.request("GET", "/v1/customers?email=a", "")
	r.Header.Set("Authorization", "Bearer nonsense")
	status, body := c.send(r)
	equal(t, "App", fmt.Sprint(status, body), "401"+`{"errors":[{"detail":"unauthorized","status":"401"}]}`+"\n")
	r.SetBasicAuth("site-id", "track-api-key")
	status, _ = c.send(r)
	equal(t, "Track credentials", status, 401)
}

func TestWorkspacesAreApart(t *testing.T) {
	second := Workspace{Name: "second", SiteID: "s2", TrackKey: "t2", AppKey: "a2"}
	c := newClientOf(t, Options{Workspaces: []Workspace{DefaultWorkspace(), second}})
	c.must(identifyItem(`{"id":"1"}`, `{}`, 0))
	r := c.request("POST", "/api/v2/entity", identifyItem(`{"id":"2"}`, `{}`, 0))
	r.SetBasicAuth("s2", "t2")
	c.send(r)
	equal(t, "main", people(c.State("main")), "id:1")
	equal(t, "second", people(c.State("second")), "id:2")
	for _, bad := range []Options{
		{Workspaces: []Workspace{second, second}},
		{Workspaces: []Workspace{{}}},
		{Workspaces: []Workspace{{Name: "x", Region: "mars"}}},
		{Workspaces: []Workspace{{Name: "x", Settings: &Settings{}}}},
	} {
		if _, err := New(bad); err == nil {
			t.Errorf("accepted: %+v", bad)
		}
	}
}

func TestAppReads(t *testing.T) {
	c := newClient(t, func(s *Settings) { s.AppPerSecond = 0 })
	c.must(identifyItem(`{"id":"a/b"}`, `{"email":"x+y@b.c","n":30,"deep":{"a": [1]},"yes":true,"gone":null,"unsubscribed":"TRUE"}`, 100),
		asks("add_device", `{"id":"a/b"}`, `"device":{"token":"t","platform":"ios","last_used":5}`))
	for _, test := range []struct {
		path   string
		status int
	}{
		{"/v1/customers/a%2Fb/attributes?id_type=id", 200},
		{"/v1/customers/a%2Fb/attributes", 200},
		{"/v1/customers/X%2By%40b.c/attributes?id_type=email", 200},
		{"/v1/customers/cio_a3000001/attributes?id_type=cio_id", 200},
		{"/v1/customers/a3000001/attributes?id_type=cio_id", 404},
		{"/v1/customers/x%2By%40b.c/attributes?id_type=id", 404},
		{"/v1/customers/1/attributes?id_type=phone", 400},
		{"/v1/customers/1/attributes?id_type=name", 400},
		{"/v1/customers", 400},
		{"/v1/campaigns", 404},
	} {
		status, body := c.do("GET", test.path, "")
		equal(t, test.path, status, test.status)
		if status != 200 {
			var e struct {
				Errors []struct{ Detail, Status string }
			}
			if decode(t, body, &e); len(e.Errors) != 1 || e.Errors[0].Status != fmt.Sprint(status) {
				t.Errorf("%s: %s", test.path, body)
			}
			continue
		}
		var v struct {
			Customer struct {
				ID           string
				Identifiers  map[string]string
				Attributes   map[string]string
				Timestamps   map[string]int64
				Unsubscribed bool
				Devices      []struct {
					ID       string
					LastUsed int64 `json:"last_used"`
				}
			}
		}
		decode(t, body, &v)
		delete(v.Customer.Attributes, "_created_in_customerio_at")
		equal(t, "attributes", fmt.Sprint(v.Customer.Attributes), `map[cio_id:a3000001 deep:{"a":[1]} email:x+y@b.c id:a/b n:30 unsubscribed:TRUE yes:true]`)
		equal(t, "rest", text(v.Customer.ID, v.Customer.Identifiers, v.Customer.Timestamps["n"], v.Customer.Unsubscribed, v.Customer.Devices),
			"a/b map[cio_id:a3000001 email:x+y@b.c id:a/b] 100 true [{t 5}]")
	}
	status, body := c.do("GET", "/v1/customers?email=X%2By@b.c", "")
	equal(t, "lookup", fmt.Sprint(status, body), `200{"results":[{"cio_id":"a3000001","email":"x+y@b.c","id":"a/b"}]}`+"\n")
	// Unescaped, the plus is a space: found is nobody, with success.
	status, body = c.do("GET", "/v1/customers?email=x+y@b.c", "")
	equal(t, "lookup", fmt.Sprint(status, body), `200{"results":[]}`+"\n")
	status, _ = c.do("POST", "/v1/customers", "{}")
	equal(t, "not built", status, 501)
}

func TestActivities(t *testing.T) {
	c := newClient(t, func(s *Settings) { s.AppPerSecond = 0 })
	c.must(identifyItem(`{"id":"1"}`, `{"email":"a@b.c"}`, 0))
	for i := range 5 {
		c.must(identifyItem(fmt.Sprintf(`{"id":"o%d"}`, i), `{}`, 0), identifyItem(fmt.Sprintf(`{"id":"o%d"}`, i), `{"email":"a@b.c"}`, 0))
	}
	var seen []string
	next := ""
	for {
		status, body := c.do("GET", "/v1/activities?type=failed_attribute_change&limit=2&start="+next, "")
		equal(t, "status", status, 200)
		var v struct {
			Activities []struct {
				Type       string
				CustomerID string `json:"customer_id"`
				Data       map[string]string
			}
			Next string
		}
		decode(t, body, &v)
		for _, a := range v.Activities {
			seen = append(seen, a.CustomerID)
			equal(t, "reason", a.Type+" "+a.Data["email"]+" "+a.Data["reason"], "failed_attribute_change a@b.c identifier is already associated with a different profile")
		}
		if next = v.Next; next == "" {
			break
		}
	}
	equal(t, "newest first", fmt.Sprint(seen), "[o4 o3 o2 o1 o0]")
	_, body := c.do("GET", "/v1/activities?type=failed_event", "")
	equal(t, "others", body, `{"activities":[],"next":""}`+"\n")
	for _, bad := range []string{"limit=0", "limit=x", "start=%21", "start=zz"} {
		status, _ := c.do("GET", "/v1/activities?"+bad, "")
		equal(t, bad, status, 400)
	}
}
