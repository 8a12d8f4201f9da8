package main

import (
	"regexp"
	"strconv"

	"github.com/pgcio/pgcio/cdc"
	"github.com/pgcio/pgcio/internal/strict"
)

// postgresConfig is [postgres].
type postgresConfig struct {
	url         secret // it may hold a password
	publication string
	slot        string
	manage      bool
	systemID    string
}

// Postgres' own limit on names, and its rule for those of slots.
const maxName = 63

var slotName = regexp.MustCompile(`^[a-z0-9_]{1,63}$`)

func (r *reader) postgres(t *strict.Table) postgresConfig {
	t.Expand(r.getenv)
	if r.asks {
		r = &reader{dir: r.dir, getenv: r.getenv}
	}
	c := postgresConfig{
		publication: orString(t, "publication", "pgcio"),
		slot:        orString(t, "slot", "pgcio"),
		systemID:    orString(t, "system_id", ""),
		manage:      true,
	}
	var named bool
	if c.url, named = r.secret(t, "url"); named {
		if err := cdc.CheckURL(c.url.reveal()); err != nil {
			key := "url"
			if !t.Has(key) {
				key = "url_file"
			}
			t.Problem(key, "", "%v", err)
		}
	}
	if _, err := strconv.ParseUint(c.systemID, 10, 64); c.systemID != "" && err != nil {
		t.Problem("system_id", "`pgcio check` prints the line", "%q is no system identifier, which is a number of up to 20 digits", c.systemID)
	}
	if v, ok := t.Bool("manage"); ok {
		c.manage = v
	}
	if !slotName.MatchString(c.slot) {
		t.Problem("slot", "", "%q is no slot's name: 1 to %d lower-case letters, digits and underscores", c.slot, maxName)
	}
	if c.publication == "" || len(c.publication) > maxName {
		t.Problem("publication", "", "must be 1 to %d bytes long", maxName)
	}
	refuseUnbuilt(t, unbuiltPostgres)
	t.Done()
	return c
}
