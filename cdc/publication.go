package cdc

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// madeByUs is the comment on a publication that we made: only such a one is
// ever dropped.
const madeByUs = "made by pgcio"

// publicationRow is what pg_publication says.
type publicationRow struct {
	Exists                           bool
	AllTables                        bool
	Insert, Update, Delete, Truncate bool
	ViaRoot                          bool
	Ours                             bool // made by us
	Owned                            bool // this role may change it
}

func readPublication(ctx context.Context, s *session, name string) (publicationRow, error) {
	r, err := s.query(ctx, `SELECT puballtables, pubinsert, pubupdate, pubdelete, pubtruncate, pubviaroot,
		coalesce(obj_description(oid, 'pg_publication'), '') = `+quoteLiteral(madeByUs)+`, pg_has_role(pubowner, 'USAGE')
		FROM pg_publication WHERE pubname = `+quoteLiteral(name))
	if err != nil {
		return publicationRow{}, fmt.Errorf("reading publication %s: %w", name, err)
	}
	if len(r) == 0 {
		return publicationRow{}, nil
	}
	return publicationRow{true, r.bool(0, 0), r.bool(0, 1), r.bool(0, 2), r.bool(0, 3), r.bool(0, 4), r.bool(0, 5), r.bool(0, 6), r.bool(0, 7)}, nil
}

// Published is what Publish did.
type Published struct {
	Created bool     // the publication was not there
	Tables  []string // those that were not published before
}

// Publish makes the publication if it is missing and adds the mapped tables it
// lacks. Without Manage it only tells what is missing. No table is published
// whose own updates and deletes Postgres would refuse then.
func Publish(ctx context.Context, cfg Config) (done Published, err error) {
	cfg = cfg.withDefaults()
	err = ask(ctx, cfg, func(s *session) error {
		done, err = publish(ctx, s, cfg)
		return err
	})
	return done, err
}

func publish(ctx context.Context, s *session, cfg Config) (Published, error) {
	pub, missing, err := unpublished(ctx, s, cfg)
	if err != nil || pub.Exists && len(missing) == 0 {
		return Published{}, err
	}
	if !pub.Exists && len(cfg.Tables) == 0 {
		return Published{}, fmt.Errorf("publication %s does not exist, and no table is mapped to make it of", cfg.Publication)
	}
	sql := publicationSQL(cfg, pub.Exists, missing)
	if !cfg.Manage {
		return Published{}, fmt.Errorf("publication %s lacks tables; with manage = false somebody has to run: %s", cfg.Publication, strings.Join(sql, " "))
	}
	if !pub.Exists {
		_, err := s.query(ctx, strings.Join(sql, " "))
		if code(err) == codeDuplicate { // somebody was faster
			return publish(ctx, s, cfg)
		}
		if err != nil {
			return Published{}, fmt.Errorf("publishing tables (%s): %w", strings.Join(sql, " "), err)
		}
		cfg.fail("publication-created")
		return Published{Created: true, Tables: names(missing)}, nil
	}
	if !pub.Owned {
		return Published{}, unowned(cfg, missing)
	}
	// One by one: a partition beside its root is in the publication and not shown by
	// it, and such a one must not keep the others out.
	var added []*Table
	for _, t := range missing {
		sql := publicationSQL(cfg, true, []*Table{t})[0]
		switch _, err := s.query(ctx, sql); {
		case err == nil:
			added = append(added, t)
		case code(err) != codeDuplicate:
			if code(err) == codePrivilege {
				return Published{}, unowned(cfg, missing)
			}
			return Published{}, fmt.Errorf("publishing tables (%s): %w", sql, err)
		}
	}
	cfg.fail("publication-created")
	return Published{Tables: names(added)}, nil
}

// unowned says what the owner of the tables and of the publication has to run.
func unowned(cfg Config, missing []*Table) error {
	return &UnfitError{"publication " + cfg.Publication, fmt.Sprintf("publication %s lacks %s, and this role does not own both", cfg.Publication, strings.Join(names(missing), ", ")),
		"have their owner run: " + strings.Join(publicationSQL(cfg, true, missing), " ")}
}

// lacks are the kinds of change that the publication leaves out.
func (p publicationRow) lacks() (kinds []string) {
	for _, k := range []struct {
		has  bool
		name string
	}{{p.Insert, "insert"}, {p.Update, "update"}, {p.Delete, "delete"}, {p.Truncate, "truncate"}} {
		if !k.has {
			kinds = append(kinds, k.name)
		}
	}
	return kinds
}

// publishAll is the statement that has them all published.
func (c Config) publishAll() string {
	return fmt.Sprintf("ALTER PUBLICATION %s SET (publish = 'insert, update, delete, truncate');", quoteIdent(c.Publication))
}

// underLeaves is what keeps a partitioned table from being followed (T35).
func (c Config) underLeaves() (problem, fix string) {
	return "it is partitioned, and the publication sends its changes under the names of its partitions",
		fmt.Sprintf("ALTER PUBLICATION %s SET (publish_via_partition_root = true);", quoteIdent(c.Publication))
}

func names(tables []*Table) (all []string) {
	for _, t := range tables {
		all = append(all, t.String())
	}
	return all
}

// unpublished are the mapped tables that the publication lacks. One that must
// not be published as it is is an error, of every such table.
func unpublished(ctx context.Context, s *session, cfg Config) (pub publicationRow, missing []*Table, err error) {
	if pub, err = readPublication(ctx, s, cfg.Publication); err != nil {
		return pub, nil, err
	}
	tables, problems, err := describe(ctx, s, cfg, cfg.Tables)
	if err != nil {
		return pub, nil, err
	}
	for _, name := range cfg.Tables {
		t := tables[name]
		if t == nil || t.Published || slices.Contains(missing, t) {
			continue
		}
		if pub.Exists && t.Kind == 'p' && !pub.ViaRoot {
			problem, fix := cfg.underLeaves()
			problems = append(problems, &TableError{Table: t.String(), Reason: advised(problem, fix)})
			continue
		}
		missing = append(missing, t)
		if err := t.publishable(pub.writes()); err != nil {
			problems = append(problems, err)
		}
	}
	return pub, missing, errors.Join(problems...)
}

// writes tells whether updates or deletes are published, or will be.
func (p publicationRow) writes() bool { return !p.Exists || p.Update || p.Delete }

// publicationSQL is what has to be run. ONLY keeps children of an inherited
// table out: pages do not read them either (T36).
func publicationSQL(cfg Config, exists bool, tables []*Table) []string {
	parts := make([]string, len(tables))
	for i, t := range tables {
		parts[i] = "ONLY " + quoteTable(t.String())
		if t.Kind == 'p' {
			parts[i] = quoteTable(t.String())
		}
	}
	list, name := strings.Join(parts, ", "), quoteIdent(cfg.Publication)
	if exists {
		return []string{fmt.Sprintf("ALTER PUBLICATION %s ADD TABLE %s;", name, list)}
	}
	return []string{
		fmt.Sprintf("CREATE PUBLICATION %s FOR TABLE %s WITH (publish_via_partition_root = true);", name, list),
		fmt.Sprintf("COMMENT ON PUBLICATION %s IS %s;", name, quoteLiteral(madeByUs)),
	}
}

// publishable tells whether the table can be published at all, and whether the
// application's writes go on working then (T27, T39).
func (t *Table) publishable(writes bool) error {
	var problem, fix string
	switch {
	case t.Kind != 'r' && t.Kind != 'p':
		problem, fix = t.noTable()
	case t.persistence == 'u':
		problem, fix = t.unlogged()
	case writes && !t.identified():
		problem, fix = t.unidentified(false)
		fix = "first run: " + fix
	default:
		return nil
	}
	return &TableError{Table: t.String(), Reason: advised(problem, fix)}
}

// What keeps a table from being published, with the fix.

func (t *Table) unidentified(published bool) (problem, fix string) {
	problem, fix = "it has no replica identity", t.identityFix()
	if len(t.IdentityColumns) > 0 {
		problem = fmt.Sprintf("its partition %s has no replica identity", t.stray)
		fix = fmt.Sprintf("ALTER TABLE %s REPLICA IDENTITY FULL;", quoteTable(t.stray))
		if !t.strayBare {
			return fmt.Sprintf("its partition %s has a replica identity that carries less than its own: the rest of an old row would be taken for null", t.stray), fix
		}
	}
	if published {
		return problem + " and is published: its own updates and deletes fail", fix
	}
	return problem + ": published, its own updates and deletes would fail", fix
}

func (t *Table) noTable() (problem, fix string) {
	return "it is no table but a " + relkind(t.Kind) + ": its changes are not in the log", "map the table it is made of"
}

func (t *Table) unlogged() (problem, fix string) {
	return "it is unlogged: its changes are not in the log", fmt.Sprintf("ALTER TABLE %s SET LOGGED;", quoteTable(t.String()))
}

// identified tells whether old rows of the table can be named in the log.
func (t *Table) identified() bool { return len(t.IdentityColumns) > 0 && t.stray == "" }

// identityFix is the statement that gives the table a replica identity.
func (t *Table) identityFix() string {
	switch {
	case len(t.PrimaryKey) > 0 && !t.lazyKey:
		return fmt.Sprintf("ALTER TABLE %s REPLICA IDENTITY DEFAULT;", quoteTable(t.String()))
	case t.uniqueIndex != "":
		return fmt.Sprintf("ALTER TABLE %s REPLICA IDENTITY USING INDEX %s;", quoteTable(t.String()), quoteIdent(t.uniqueIndex))
	}
	or := "give it a primary key"
	if t.lazyKey {
		or = "a primary key that is not deferrable"
	}
	return fmt.Sprintf("ALTER TABLE %s REPLICA IDENTITY FULL; (or %s)", quoteTable(t.String()), or)
}

func relkind(kind byte) string {
	switch kind {
	case 'v':
		return "view"
	case 'm':
		return "materialized view"
	case 'f':
		return "foreign table"
	case 'S':
		return "sequence"
	case 'i', 'I':
		return "index"
	}
	return fmt.Sprintf("relation of kind %q", kind)
}
