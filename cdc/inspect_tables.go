package cdc

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

func (i *inspection) publication(ctx context.Context) (err error) {
	subject := "publication " + i.cfg.Publication
	if i.pub, err = readPublication(ctx, i.s, i.cfg.Publication); err != nil {
		return err
	}
	if !i.pub.Exists {
		r, err := i.s.query(ctx, "SELECT has_database_privilege(current_database(), 'CREATE'), current_database()")
		if err != nil {
			return err
		}
		switch {
		case i.slot.Exists:
			i.add(Failure, subject, startOver, "does not exist, but the slot does: what the slot holds cannot be read")
		case !i.cfg.Manage:
			i.add(Failure, subject, i.publicationFix(), "does not exist, and with manage = false pgcio does not make it")
		case !r.bool(0, 0):
			i.add(Failure, subject, fmt.Sprintf("GRANT CREATE ON DATABASE %s TO %s; or manage = false and: %s", quoteIdent(r.text(0, 1)), quoteIdent(i.role), i.publicationFix()),
				"does not exist, and %s may not make it", i.role)
		default:
			i.add(OK, subject, "", "does not exist yet: pgcio setup, or the first pgcio run, makes it")
		}
		return nil
	}
	if lacks := i.pub.lacks(); len(lacks) > 0 {
		i.add(Warning, subject, i.cfg.publishAll(), "does not publish %s: such changes are never seen", strings.Join(lacks, ", "))
	}
	if i.pub.AllTables && (i.pub.Update || i.pub.Delete) {
		return i.allTables(ctx, subject)
	}
	return nil
}

// allTables names the tables whose own writes fail because everything is
// published (T27).
func (i *inspection) allTables(ctx context.Context, subject string) error {
	r, err := i.s.query(ctx, `SELECT n.nspname || '.' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relkind IN ('r', 'p') AND c.relpersistence = 'p' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
		AND (c.relreplident = 'n' OR c.relreplident = 'd' AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary AND i.indimmediate)
			OR c.relreplident = 'i' AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisreplident))
		ORDER BY 1 LIMIT 10`)
	if err != nil {
		return err
	}
	for n := range r {
		t := &Table{}
		t.Schema, t.Name = splitTable(r.text(n, 0))
		i.add(Failure, subject, t.identityFix(), "publishes all tables, also %s, which has no replica identity: its updates and deletes fail", t)
	}
	return nil
}

// publicationFix is the SQL that makes the publication, of those tables that may
// be published: the others have findings of their own.
func (i *inspection) publicationFix() string {
	var tables []*Table
	for _, name := range i.cfg.Tables {
		if t := i.tables[name]; t != nil && t.publishable(true) == nil && !slices.Contains(tables, t) {
			tables = append(tables, t)
		}
	}
	if len(tables) == 0 {
		return "mend the tables first"
	}
	return strings.Join(publicationSQL(i.cfg, false, tables), " ")
}

func (i *inspection) describe(ctx context.Context) (err error) {
	i.tables, i.problems, err = describe(ctx, i.s, i.cfg, i.cfg.Tables)
	return err
}

func (i *inspection) eachTable(ctx context.Context) error {
	for _, p := range i.problems {
		var t *TableError
		if errors.As(p, &t) {
			fix := "correct the mapping's table"
			if len(t.Near) > 0 {
				fix = "did you mean " + strings.Join(t.Near, ", ") + "?"
			}
			i.add(Failure, "table "+t.Table, fix, "%s", t.Reason)
		}
	}
	seen := map[uint32]bool{}
	for _, name := range i.cfg.Tables {
		t := i.tables[name]
		if t == nil || seen[t.OID] {
			continue
		}
		seen[t.OID] = true
		before := len(i.found)
		if err := i.table(ctx, t, i.columns[name]); err != nil {
			return err
		}
		switch {
		case len(i.found) != before:
		case len(i.columns[name]) == 0:
			i.add(OK, "table "+name, "", "can be followed; whether its columns may be read is known when the mappings are right")
		default:
			i.add(OK, "table "+name, "", "can be followed, %d columns", len(t.Columns))
		}
	}
	return nil
}

// tableFacts are what the catalog says beyond a Table.
type tableFacts struct {
	owned, usage, rls, leaf, children bool
	denied                            []string // mapped columns that may not be read
}

func (i *inspection) facts(ctx context.Context, t *Table, columns []string) (f tableFacts, err error) {
	r, err := i.s.query(ctx, fmt.Sprintf(`SELECT pg_has_role(relowner, 'USAGE'), has_schema_privilege(relnamespace, 'USAGE'), row_security_active(oid),
		relispartition, relhassubclass, has_table_privilege(oid, 'SELECT') FROM pg_class WHERE oid = %d`, t.OID))
	if err != nil || len(r) == 0 {
		return f, err
	}
	f = tableFacts{owned: r.bool(0, 0), usage: r.bool(0, 1), rls: r.bool(0, 2), leaf: r.bool(0, 3), children: r.bool(0, 4)}
	if r.bool(0, 5) || len(columns) == 0 {
		return f, nil
	}
	c, err := i.s.query(ctx, fmt.Sprintf(`SELECT attname FROM pg_attribute WHERE attrelid = %d AND attname IN (%s) AND NOT has_column_privilege(attrelid, attnum, 'SELECT')`,
		t.OID, quoteLiterals(columns)))
	for n := range c {
		f.denied = append(f.denied, c.text(n, 0))
	}
	return f, err
}

func (i *inspection) table(ctx context.Context, t *Table, columns []string) error {
	subject := "table " + t.String()
	f, err := i.facts(ctx, t, columns)
	if err != nil {
		return err
	}
	if t.Kind != 'r' && t.Kind != 'p' {
		problem, fix := t.noTable()
		i.add(Failure, subject, fix, "%s", problem)
		return nil
	}
	if t.persistence == 'u' {
		problem, fix := t.unlogged()
		i.add(Failure, subject, fix, "%s", problem)
		return nil
	}
	i.identity(subject, t)
	i.published(subject, t, f)
	i.carried(subject, t, columns)
	switch {
	case !f.usage:
		i.add(Failure, subject, fmt.Sprintf("GRANT USAGE ON SCHEMA %s TO %s;", quoteIdent(t.Schema), quoteIdent(i.role)), "%s may not use its schema", i.role)
	case len(f.denied) > 0:
		i.add(Failure, subject, fmt.Sprintf("GRANT SELECT (%s) ON %s TO %s;", quoteIdents(f.denied), quoteTable(t.String()), quoteIdent(i.role)),
			"%s may not read %s, which is mapped", i.role, strings.Join(f.denied, ", "))
	}
	if f.rls {
		i.add(Failure, subject, fmt.Sprintf("ALTER ROLE %s BYPASSRLS;", quoteIdent(i.role)), "row-level security hides rows from %s: they cannot be read, though their changes are sent", i.role)
	}
	if t.Kind == 'r' && f.children {
		i.add(Warning, subject, "map the children, too, if they are wanted", "other tables inherit from it: their rows are not followed under its name")
	}
	return nil
}

// identity looks at what names an old row (T26, T27).
func (i *inspection) identity(subject string, t *Table) {
	if !t.identified() {
		problem, fix := t.unidentified(t.Published && (i.pub.Update || i.pub.Delete))
		i.add(Failure, subject, fix, "%s", problem)
		return
	}
	if len(t.ColumnList) == 0 || !i.pub.Update && !i.pub.Delete {
		return
	}
	var outside []string
	for _, c := range t.IdentityColumns {
		if !slices.Contains(t.ColumnList, c) {
			outside = append(outside, c)
		}
	}
	// Under FULL every column is of the identity, and the list leaves some out.
	if t.Identity == IdentityFull && len(t.Unpublished) > 0 {
		outside = t.Unpublished
	}
	if len(outside) > 0 {
		i.add(Failure, subject, fmt.Sprintf("ALTER PUBLICATION %s SET TABLE … with a column list that has %s", quoteIdent(i.cfg.Publication), strings.Join(outside, ", ")),
			"the publication's column list leaves %s out, of its replica identity: its own updates and deletes fail", strings.Join(outside, ", "))
	}
}

// published looks at whether, and as what, its changes are sent.
func (i *inspection) published(subject string, t *Table, f tableFacts) {
	add := strings.Join(publicationSQL(i.cfg, true, []*Table{t}), " ")
	switch {
	case !i.pub.Exists:
		if i.cfg.Manage && !f.owned {
			i.add(Failure, subject, "have the tables' owner run: "+i.publicationFix(), "%s does not own it, and cannot publish it", i.role)
		}
		return
	case t.Kind == 'p' && !i.pub.ViaRoot:
		problem, fix := i.cfg.underLeaves()
		i.add(Failure, subject, fix, "%s", problem)
		return
	case f.leaf && i.pub.ViaRoot:
		i.add(Warning, subject, "map the partitioned table", "it is a partition, and changes made by way of the partitioned table may be sent under that one's name")
	}
	switch {
	case t.Published, t.publishable(i.pub.writes()) != nil: // which has been said
	case !i.cfg.Manage:
		i.add(Failure, subject, add, "it is not in publication %s: its changes are not sent", i.cfg.Publication)
	case !f.owned || !i.pub.Owned:
		i.add(Failure, subject, "have their owner run: "+add, "it is not in publication %s, and %s does not own both", i.cfg.Publication, i.role)
	}
	if t.RowFilter != "" {
		i.add(Warning, subject, "", "the publication sends only rows with %s: a row that leaves the filter looks deleted", t.RowFilter)
	}
}

// carried looks for mapped columns that no change carries (T34, T38).
func (i *inspection) carried(subject string, t *Table, columns []string) {
	for _, c := range columns {
		switch {
		case t.Index(c) >= 0:
		case len(t.ColumnList) > 0 && slices.Contains(t.Unpublished, c):
			i.add(Failure, subject, "add it to the publication's column list", "column %s is outside the publication's column list: it is never sent", c)
		case slices.Contains(t.Unpublished, c):
			i.add(Failure, subject, "map the columns it is computed from, in an expr", "column %s is generated: it is never sent", c)
		default:
			i.add(Failure, subject, "correct the mapping", "there is no column %s", c)
		}
	}
}
