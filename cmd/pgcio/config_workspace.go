package main

import (
	"net/url"
	"strings"

	"github.com/pgcio/pgcio/internal/strict"
)

// workspaceConfig is one [workspace.*].
type workspaceConfig struct {
	name        string
	region      string
	siteID      secret
	trackAPIKey secret
	appAPIKey   secret // empty: none

	trackRequestsPerSecond float64
	trackItemsPerSecond    float64 // 0: no limit of its own
	appRequestsPerSecond   float64

	id       int64  // of the workspace at Customer.io; 0: any
	trackURL string // in the place of the region's; empty: the region's
	appURL   string
}

func (r *reader) workspaces(all *strict.Table) []workspaceConfig {
	all.Expand(r.getenv)
	var out []workspaceConfig
	for _, name := range all.Keys() {
		if t := all.Table(name); t != nil {
			out = append(out, r.workspace(name, t))
		}
	}
	return out
}

func (r *reader) workspace(name string, t *strict.Table) workspaceConfig {
	c := workspaceConfig{
		name:                   name,
		region:                 "us",
		trackRequestsPerSecond: orRate(t, "track_requests_per_second", 100),
		trackItemsPerSecond:    1000,
		appRequestsPerSecond:   orRate(t, "app_requests_per_second", 8),
		id:                     orInt(t, "id", 0, 0),
		trackURL:               baseURL(t, "track_url"),
		appURL:                 baseURL(t, "app_url"),
	}
	if region, ok := t.Enum("region", "us", "eu"); ok {
		c.region = region
	}
	c.siteID = r.required(t, "site_id")
	c.trackAPIKey = r.required(t, "track_api_key")
	c.appAPIKey, _ = r.secret(t, "app_api_key")
	if n, ok := t.Float("track_items_per_second"); ok {
		if n < 0 {
			t.Problem("track_items_per_second", "", "must be 0 (no limit of its own) or more")
		}
		c.trackItemsPerSecond = n
	}
	t.Done()
	return c
}

// required reads a secret that there has to be.
func (r *reader) required(t *strict.Table, key string) secret {
	present := t.Has(key) || t.Has(key+"_file")
	s, ok := r.secret(t, key)
	if !present {
		t.Require(key, "write it, or name a file that holds it with "+key+"_file")
	} else if ok && s.reveal() == "" {
		t.Problem(key, "", "is empty")
	}
	return s
}

func orRate(t *strict.Table, key string, value float64) float64 {
	n, ok := t.Float(key)
	if !ok {
		return value
	}
	if n <= 0 {
		t.Problem(key, "", "must be more than 0")
	}
	return n
}

// baseURL reads the address of an API, to which paths are appended.
func baseURL(t *strict.Table, key string) string {
	s, ok := t.String(key)
	if !ok || s == "" {
		return ""
	}
	u, err := url.Parse(s)
	switch {
	case err != nil, u.Scheme != "http" && u.Scheme != "https", u.Host == "":
		t.Problem(key, `write it as "https://host" or "http://127.0.0.1:7465"`, "is no http or https address")
	case u.User != nil, u.RawQuery != "", u.Fragment != "":
		t.Problem(key, "", "must be a plain address, without a user, a query or a fragment")
	}
	return strings.TrimSuffix(s, "/")
}
