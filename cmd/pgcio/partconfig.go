package main

import (
	"cmp"
	"log/slog"

	"github.com/pgcio/pgcio/cdc"
	"github.com/pgcio/pgcio/mapping"
	"github.com/pgcio/pgcio/sink"
	"github.com/pgcio/pgcio/state"
)

// The configuration file turned into the configurations of the parts. Each part
// knows its own words only.

func (c *config) source(log *slog.Logger) cdc.Config {
	return cdc.Config{
		URL:         c.postgres.url.reveal(),
		Publication: c.postgres.publication,
		Slot:        c.postgres.slot,
		Manage:      c.postgres.manage,
		SystemID:    c.postgres.systemID,
		Tables:      mapping.Tables(c.mappings),
		Logger:      log,
	}
}

func (c *config) stateOptions(log *slog.Logger) state.Options {
	o := state.Options{
		Path:       c.state.path,
		Workspaces: c.workspaceNames(),
		Mappings:   make([]state.Mapping, len(c.mappings)),
		MaxSize:    c.state.maxSize,
		Logger:     log,
	}
	place := make(map[string]int, len(o.Workspaces))
	for i, name := range o.Workspaces {
		place[name] = i
	}
	for i := range c.mappings {
		m := &c.mappings[i]
		o.Mappings[i] = state.Mapping{
			Name: m.Name, Was: m.Was, Workspace: place[m.Workspace], Kind: m.Kind(),
			UpdateOnly: m.Behavior == "update_only", Backfill: m.Backfill, Paused: m.Paused,
		}
	}
	return o
}

// hosts are those of a Customer.io region's two APIs.
func hosts(region string) (track, app string) {
	if region == "eu" {
		return "https://track-eu.customer.io", "https://api-eu.customer.io"
	}
	return "https://track.customer.io", "https://api.customer.io"
}

// sink is the configuration of one workspace's sink, as far as the file says it.
func (w *workspaceConfig) sink(place int, log *slog.Logger) sink.Config {
	c := sink.Config{
		Workspace:         place,
		Name:              w.name,
		Region:            w.region,
		TrackURL:          w.trackURL,
		AppURL:            w.appURL,
		SiteID:            w.siteID.reveal(),
		TrackAPIKey:       w.trackAPIKey.reveal(),
		AppAPIKey:         w.appAPIKey.reveal(),
		RequestsPerSecond: w.trackRequestsPerSecond,
		ItemsPerSecond:    w.trackItemsPerSecond,
		UserAgent:         "pgcio/" + buildVersion(),
		Logger:            log,
	}
	track, app := hosts(w.region)
	c.TrackURL, c.AppURL = cmp.Or(c.TrackURL, track), cmp.Or(c.AppURL, app)
	return c
}
