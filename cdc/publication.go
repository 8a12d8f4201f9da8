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

// Publish makes the publication if it is missing and adds the mapped tables it
// lacks; it returns those. Without Manage it only tells what is missing. No
// table is published whose own updates and deletes Postgres would refuse then.
func Publish(ctx context.Context, cfg Config) (added []string, err error) {
	cfg = cfg.withDefaults()
	err = ask(ctx, cfg, func(s *session) error {
		added, err = publish(ctx, s, cfg)
		return err
	})
	return added, err
}

func publish(ctx context.Context, s *session, cfg Config) ([]string, error) {
	pub, err := readPublication(ctx, s, cfg.Publication)
	if err != nil {
		return nil, err
	}
	tables, problems, err := describe(ctx, s, cfg, cfg.Tables)
	if err != nil {
		return nil, err
	}
	var missing []*Table
	for _, name := range cfg.Tables {
		if t := tables[name]; t != nil && !t.Published && !slices.Contains(missing, t) {
			missing = append(missing, t)
		}
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	if pub.Exists && len(missing) == 0 {
		return nil, nil
	}
	if !pub.Exists && len(cfg.Tables) == 0 {
		return nil, fmt.Errorf("publication %s does not exist, and no table is mapped to make it of", cfg.Publication)
	}
	sql := publicationSQL(cfg, pub.Exists, missing)
	if !cfg.Manage {
		return nil, fmt.Errorf("publication %s lacks tables; with manage = false somebody has to run: %s", cfg.Publication, strings.Join(sql, " "))
	}
	writes := !pub.Exists || pub.Update || pub.Delete
	for _, t := range missing {
		if err := t.publishable(writes); err != nil {
			problems = append(problems, err)
		}
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	if _, err := s.query(ctx, strings.Join(sql, " ")); err != nil && code(err) != codeDuplicate {
		return nil, fmt.Errorf("publishing tables (%s): %w", strings.Join(sql, " "), err)
	}
	cfg.fail("publication-created")
	added := make([]string, len(missing))
	for i, t := range missing {
		added[i] = t.String()
	}
	return added, nil
}

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

// publishable tells whether the application's writes go on working when the
// table is published (T27, T39).
func (t *Table) publishable(writes bool) error {
	if t.Kind != 'r' && t.Kind != 'p' {
		return &TableError{Table: t.String(), Reason: "it is no table but a " + relkind(t.Kind) + ", and cannot be published"}
	}
	if writes && !t.identified() {
		return &TableError{Table: t.String(), Reason: "it has no replica identity: published, its own updates and deletes would fail; first run: " + t.identityFix()}
	}
	return nil
}

// identified tells whether old rows of the table can be named in the log.
func (t *Table) identified() bool { return len(t.IdentityColumns) > 0 }

// identityFix is the statement that gives the table a replica identity.
func (t *Table) identityFix() string {
	switch {
	case len(t.PrimaryKey) > 0:
		return fmt.Sprintf("ALTER TABLE %s REPLICA IDENTITY DEFAULT;", quoteTable(t.String()))
	case t.uniqueIndex != "":
		return fmt.Sprintf("ALTER TABLE %s REPLICA IDENTITY USING INDEX %s;", quoteTable(t.String()), quoteIdent(t.uniqueIndex))
	}
	return fmt.Sprintf("ALTER TABLE %s REPLICA IDENTITY FULL; (or give it a primary key)", quoteTable(t.String()))
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
