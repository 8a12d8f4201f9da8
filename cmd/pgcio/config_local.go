package main

import (
	"context"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pgcio/pgcio/internal/strict"
)

// Commands that speak to the daemon, or look into its state, are run by people in
// a shell where its secrets are not: they read of the configuration only what
// they need.

// loadState reads [state], by which the daemon is found.
func (a *app) loadState() (stateConfig, error) {
	file, source, err := a.readConfigFile()
	if err != nil {
		return stateConfig{}, err
	}
	doc := strict.Open(file, source)
	if problems := doc.Problems(); len(problems) > 0 {
		return stateConfig{}, problems
	}
	r := &reader{dir: filepath.Dir(file), getenv: a.getenv}
	s := r.state(doc.Root().Table("state"))
	return s, doc.Problems().Err()
}

// loadUnconnected reads the configuration for a command that connects to nothing:
// what the sections about Postgres and Customer.io lack does not matter.
func (a *app) loadUnconnected() (*config, error) {
	c, problems, err := a.loadSealed(&reader{sealed: true}, "postgres", "workspace", "http")
	if err != nil {
		return nil, err
	}
	return c, problems.Err()
}

// loadUnsent is loadAgainst for a command that never asks Customer.io, whose
// secrets whoever runs it need not have. Whoever looks at the tables by a URL of
// their own need not be able to read the daemon's either: that is taken to be the
// same, with the usual role.
func (a *app) loadUnsent(ctx context.Context, look string) (c *config, usual bool, err error) {
	c, problems, err := a.loadSealed(&reader{sealed: true, asks: true}, "workspace", "http")
	if err != nil {
		return nil, false, err
	}
	if c != nil && look != "" && c.postgres.url.reveal() == "" {
		all := len(problems)
		problems = slices.DeleteFunc(problems, func(p strict.Problem) bool {
			return p.Key == "postgres.url" || p.Key == "postgres.url_file"
		})
		if usual = len(problems) < all; usual {
			c.postgres.url = newSecret(withRole(look, usualRole))
		}
	}
	c, err = against(ctx, c, problems, look)
	return c, usual, err
}

// usualRole is the daemon's role where nobody says another.
const usualRole = "pgcio"

// withRole is a URL, or a list of settings, with another role in it.
func withRole(address, role string) string {
	u, err := url.Parse(address)
	if err != nil || u.Scheme == "" {
		return address + " user=" + role
	}
	query := u.Query()
	query.Del("user")
	u.RawQuery, u.User = query.Encode(), url.User(role)
	return u.String()
}

// loadSealed reads the configuration, and leaves out what is wrong with sections
// that do not matter.
func (a *app) loadSealed(r *reader, sections ...string) (*config, strict.Problems, error) {
	file, source, err := a.readConfigFile()
	if err != nil {
		return nil, nil, err
	}
	r.dir, r.getenv = filepath.Dir(file), a.getenv
	c, problems := r.config(file, source)
	problems = slices.DeleteFunc(problems, func(p strict.Problem) bool {
		section, _, _ := strings.Cut(p.Key, ".")
		return c != nil && slices.Contains(sections, section)
	})
	return c, problems, nil
}
