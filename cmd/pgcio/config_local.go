package main

import (
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
	file, source, err := a.readConfigFile()
	if err != nil {
		return nil, err
	}
	r := &reader{dir: filepath.Dir(file), getenv: a.getenv, sealed: true}
	c, problems := r.config(file, source)
	problems = slices.DeleteFunc(problems, func(p strict.Problem) bool {
		section, _, _ := strings.Cut(p.Key, ".")
		return c != nil && (section == "postgres" || section == "workspace" || section == "http")
	})
	return c, problems.Err()
}
