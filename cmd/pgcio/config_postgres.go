package main

import (
	"regexp"

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
	c := postgresConfig{
		publication: orString(t, "publication", "pgcio"),
		slot:        orString(t, "slot", "pgcio"),
		systemID:    orString(t, "system_id", ""),
		manage:      true,
	}
	c.url, _ = r.secret(t, "url")
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
