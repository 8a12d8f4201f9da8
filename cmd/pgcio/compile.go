package main

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"maps"
	"path/filepath"
	"strings"
	"time"

	"github.com/pgcio/pgcio/cdc"
	"github.com/pgcio/pgcio/internal/strict"
	"github.com/pgcio/pgcio/mapping"
)

// askWithin is how long the database is asked about a configuration that is wrong
// already.
const askWithin = 5 * time.Second

// loadAgainst is loadConfig for a command that goes on to ask the database: when
// something is wrong, what does not fit the tables is told along with it.
func (a *app) loadAgainst(ctx context.Context) (*config, error) {
	file, source, err := a.readConfigFile()
	if err != nil {
		return nil, err
	}
	r := &reader{dir: filepath.Dir(file), getenv: a.getenv}
	c, problems := r.config(file, source)
	return against(ctx, c, problems, "")
}

// against adds to a configuration's problems what does not fit the tables. They
// are looked at by way of url, if there is one, in the place of the
// configuration's.
func against(ctx context.Context, c *config, problems strict.Problems, url string) (*config, error) {
	known := map[string]bool{}
	for _, p := range problems {
		known[p.Key] = true
		if strings.HasPrefix(p.Key, "postgres") {
			c = nil // nobody to ask
		}
	}
	if len(problems) == 0 || c == nil || len(c.mappings) == 0 {
		return c, problems.Err()
	}
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	source := c.source(slog.New(slog.DiscardHandler))
	source.URL = cmp.Or(url, source.URL)
	_, _, err := compile(ctx, c, source)
	var more strict.Problems
	errors.As(err, &more) // anything else is told when this is mended
	for _, p := range more {
		if !known[p.Key] {
			problems = append(problems, p)
		}
	}
	problems.Sort()
	return nil, problems
}

// compile compiles the mappings against the database's tables. All that does
// not fit is one error: strict.Problems.
func compile(ctx context.Context, cfg *config, source cdc.Config) (*mapping.Mapper, map[string]*cdc.Table, error) {
	mapper, tables, problems, err := compileFitting(ctx, cfg, source)
	if err = cmp.Or(err, problems.Err()); err != nil {
		return nil, nil, err
	}
	return mapper, tables, nil
}

// compileFitting is compile, except that those mappings are compiled that fit,
// whatever is wrong with others. The error is that the tables cannot be looked at.
func compileFitting(ctx context.Context, cfg *config, source cdc.Config) (*mapping.Mapper, map[string]*cdc.Table, strict.Problems, error) {
	tables, err := catalog(ctx, cfg, source)
	if err != nil {
		return nil, nil, nil, err
	}
	mapper, problems := mapping.Compile(cfg.mappings, tables)
	return mapper, tables, problems, nil
}

// catalog describes the mapped tables. Where one is missing, those with nearly
// its name are described too, so that the mapping's problem can name the right
// word.
func catalog(ctx context.Context, cfg *config, source cdc.Config) (map[string]*cdc.Table, error) {
	tables, err := cdc.Catalog(ctx, source, mapping.Tables(cfg.mappings))
	missing, others := tableErrors(err)
	if others != nil {
		return nil, others
	}
	var near []string
	for _, m := range missing {
		near = append(near, m.Near...)
	}
	if len(near) == 0 {
		return tables, nil
	}
	more, err := cdc.Catalog(ctx, source, near)
	if _, others := tableErrors(err); others != nil {
		return nil, others
	}
	maps.Copy(more, tables)
	return more, nil
}

// tableErrors takes apart what Catalog says: what is wrong with single tables,
// and any other error.
func tableErrors(err error) (tables []*cdc.TableError, other error) {
	if err == nil {
		return nil, nil
	}
	joined, many := err.(interface{ Unwrap() []error })
	if !many {
		var t *cdc.TableError
		if errors.As(err, &t) {
			return []*cdc.TableError{t}, nil
		}
		return nil, err
	}
	for _, e := range joined.Unwrap() {
		var t *cdc.TableError
		if !errors.As(e, &t) {
			return nil, err
		}
		tables = append(tables, t)
	}
	return tables, nil
}
