package cdc

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pgcio/pgcio/internal/lsn"
)

// Ready tells whether Setup can do its work, before it has begun: the server is
// the one that is pinned, it takes a replication connection of ours, and it has
// room for the slot if there is none (*UnfitError); and what would be published
// may be (*TableError). It changes nothing.
func Ready(ctx context.Context, cfg Config) error {
	cfg = cfg.withDefaults()
	s, err := connect(ctx, cfg, replicating)
	if err != nil {
		return err
	}
	defer s.close()
	if _, _, err := identify(ctx, s, cfg); err != nil {
		return err
	}
	if slot, err := readSlot(ctx, s, cfg.Slot); err != nil {
		return err
	} else if !slot.Exists {
		if err := ready(ctx, s); err != nil {
			return err
		}
	}
	_, _, err = unpublished(ctx, s, cfg)
	return err
}

// Identify tells which source a configuration leads to (*SourceError where it is
// not the one that is pinned).
func Identify(ctx context.Context, cfg Config) (Identity, error) {
	cfg = cfg.withDefaults()
	s, err := connect(ctx, cfg, replicating)
	if err != nil {
		return Identity{}, err
	}
	defer s.close()
	id, _, err := identify(ctx, s, cfg)
	return id, err
}

// Verify tells whether what follows on a state can be read (law 4): it cannot
// after a *GapError or a *SourceError. That somebody reads the slot is no error.
func Verify(ctx context.Context, cfg Config, r Resume) error {
	cfg = cfg.withDefaults()
	s, err := connect(ctx, cfg, replicating)
	if err != nil {
		return err
	}
	defer s.close()
	if _, err := verify(ctx, s, cfg, r.Identity, position{r.Stored, r.Open}); !errors.As(err, new(*busyError)) {
		return err
	}
	return nil
}

// Setup makes the publication (with Manage) and then the slot, in this order: a
// slot that is older than its publication can never be read (T42). It returns
// the slot's consistent point, which is where the stream begins. It waits until
// every transaction that is open has ended; ctx ends that, and leaves no slot.
func Setup(ctx context.Context, cfg Config) (Identity, lsn.LSN, error) {
	cfg = cfg.withDefaults()
	if err := Ready(ctx, cfg); err != nil {
		return Identity{}, 0, err
	}
	if _, err := Publish(ctx, cfg); err != nil {
		return Identity{}, 0, err
	}
	return createSlot(ctx, cfg)
}

// Dropped is what Teardown dropped.
type Dropped struct {
	Slot        string // empty: there was none
	HeldBytes   int64  // WAL that the slot held
	Publication string // empty: there was none, or it is not ours to drop
	ReadBy      int64  // the server process that reads the slot; 0: none
	// Left is a publication that was made for us (our SQL marks it) and stays,
	// because it is somebody else's (LeftFor is empty) or other slots of the
	// database may be read through it; LeftSQL is how it is dropped.
	Left, LeftSQL string
	LeftFor       []string
}

// Droppable returns what Teardown would drop.
func Droppable(ctx context.Context, cfg Config) (d Dropped, err error) {
	cfg = cfg.withDefaults()
	err = ask(ctx, cfg, func(s *session) error {
		slot, err := readSlot(ctx, s, cfg.Slot)
		if err := cmp.Or(err, slot.foreign(cfg)); err != nil {
			return err
		}
		if slot.Exists {
			d.Slot, d.HeldBytes, d.ReadBy = cfg.Slot, slot.HeldBytes, slot.ActivePID
		}
		pub, err := readPublication(ctx, s, cfg.Publication)
		switch {
		case err != nil || !pub.Ours:
			return err
		case !pub.Owned:
			d.Left, d.LeftSQL = cfg.Publication, dropPublication(cfg)
			return nil
		}
		// Which publication a slot is read through is known to its reader alone; to
		// drop it would end another pgcio with a gap.
		q, err := s.query(ctx, fmt.Sprintf(`SELECT slot_name FROM pg_replication_slots
			WHERE database = current_database() AND plugin = 'pgoutput' AND NOT temporary AND slot_name <> %s ORDER BY 1`, quoteLiteral(cfg.Slot)))
		if err != nil {
			return err
		}
		for i := range q {
			d.LeftFor = append(d.LeftFor, q.text(i, 0))
		}
		if d.LeftFor != nil {
			d.Left, d.LeftSQL = cfg.Publication, dropPublication(cfg)
		} else {
			d.Publication = cfg.Publication
		}
		return nil
	})
	return d, err
}

// Teardown drops the slot, and the publication if we made it and it is ours.
func Teardown(ctx context.Context, cfg Config) (Dropped, error) {
	cfg = cfg.withDefaults()
	d, err := Droppable(ctx, cfg)
	if err != nil {
		return Dropped{}, err
	}
	var errs []error
	if d.Slot != "" {
		if d.HeldBytes, err = DropSlot(ctx, cfg); err != nil {
			d.Slot, d.Publication = "", "" // the slot may still be read through it
			errs = append(errs, err)
		}
	}
	if d.Publication != "" && len(errs) == 0 {
		err := ask(ctx, cfg, func(s *session) error {
			_, err := s.query(ctx, dropPublication(cfg))
			return err
		})
		if err != nil {
			d.Publication = ""
			errs = append(errs, fmt.Errorf("dropping publication %s: %w", cfg.Publication, err))
		}
	}
	return d, errors.Join(errs...)
}

func dropPublication(cfg Config) string {
	return fmt.Sprintf("DROP PUBLICATION IF EXISTS %s;", quoteIdent(cfg.Publication))
}

// SetupSQL is what a database administrator runs where pgcio may not: the role,
// its grants and the publication, without what must not be published (T27),
// which it says. look is who looks at the tables; columns are the mapped columns
// of each. The slot is made by pgcio, because only then does a state belong to it.
func SetupSQL(ctx context.Context, cfg, look Config, columns map[string][]string) (string, error) {
	cfg = cfg.withDefaults()
	there, err := lookBeforeSetup(ctx, cfg, look.withDefaults())
	if err != nil {
		return "", err
	}
	var b script
	role := b.role(cfg, there.tables, there.role)
	tables := there.tables
	for _, t := range tables {
		if c := columns[t.String()]; len(c) > 0 {
			b.line("GRANT SELECT (%s) ON %s TO %s;", quoteIdents(c), quoteTable(t.String()), role)
		} else {
			b.line("GRANT SELECT ON %s TO %s;", quoteTable(t.String()), role)
		}
	}
	b.line("")
	b.line("-- What is published (as the owner of the tables).")
	for _, e := range there.left {
		b.line("-- Left out: %s", e)
	}
	if there.published.Exists {
		tables = slices.DeleteFunc(slices.Clone(tables), func(t *Table) bool { return t.Published })
	}
	switch {
	case len(tables) > 0:
		b.line("%s", strings.Join(publicationSQL(cfg, there.published.Exists, tables), "\n"))
	case there.published.Exists:
		b.line("-- Nothing is to be done: publication %s has them.", quoteIdent(cfg.Publication))
	}
	return b.String(), nil
}

// SetupUnseen is SetupSQL where the tables cannot be looked at: which of their
// columns are read, and which of them may be published, nobody knows then.
func SetupUnseen(cfg Config, why error) string {
	cfg = cfg.withDefaults()
	var b script
	tables := unseenTables(cfg.Tables)
	b.role(cfg, tables, false)
	b.line("")
	b.line("-- The tables could not be looked at: %s.", strings.Join(lines(why.Error()), " "))
	b.line("-- Which of their columns are read, and which of them can be published without making their own")
	b.line("-- updates and deletes fail, is not known. When this role can connect, or with --url for another")
	b.line("-- role, run pgcio setup --print again: it writes the grants and the publication of")
	for _, t := range tables {
		b.line("--   %s", quoteTable(t.String()))
	}
	return b.String()
}

// script is SQL that is being written.
type script struct{ strings.Builder }

func (b *script) line(format string, args ...any) { fmt.Fprintf(b, format+"\n", args...) }

// roleOf is the role of a configuration, and its database.
func roleOf(cfg Config) (role, database string) {
	role, database = "pgcio", "postgres"
	if pc, err := parseURL(cfg.URL); err == nil {
		role, database = pc.User, pc.Database
	}
	return role, cmp.Or(database, role)
}

// role makes the role, unless it is there, and lets it reach the tables. It returns
// its name, quoted.
func (b *script) role(cfg Config, tables []*Table, there bool) string {
	role, database := roleOf(cfg)
	role = quoteIdent(role)
	if there {
		b.line("-- The role is there, and need not be made:")
		b.line("-- CREATE ROLE %s LOGIN REPLICATION;", role)
	} else {
		b.line("-- The role (its password, or how else it proves itself, is yours to choose).")
		b.line("-- Managed services have a role to grant instead of REPLICATION: rds_replication on Amazon RDS.")
		b.line("CREATE ROLE %s LOGIN REPLICATION;", role)
	}
	b.line("GRANT CONNECT ON DATABASE %s TO %s;", quoteIdent(database), role)
	b.line("")
	b.line("-- What it reads.")
	var schemas []string
	for _, t := range tables {
		if s := quoteIdent(t.Schema); !slices.Contains(schemas, s) {
			schemas = append(schemas, s)
		}
	}
	if len(schemas) > 0 {
		b.line("GRANT USAGE ON SCHEMA %s TO %s;", strings.Join(schemas, ", "), role)
	}
	return role
}

// beforeSetup is what there is already: the role, the publication, and the mapped
// tables, parted into those that can be published and what keeps the others from it.
type beforeSetup struct {
	role      bool
	published publicationRow
	tables    []*Table
	left      []error
}

func lookBeforeSetup(ctx context.Context, daemon, cfg Config) (there beforeSetup, err error) {
	err = ask(ctx, cfg, func(s *session) error {
		role, _ := roleOf(daemon)
		r, err := s.query(ctx, "SELECT FROM pg_roles WHERE rolname = "+quoteLiteral(role))
		if err != nil {
			return err
		}
		there.role = len(r) > 0
		if there.published, err = readPublication(ctx, s, cfg.Publication); err != nil {
			return err
		}
		found, problems, err := describe(ctx, s, cfg, cfg.Tables)
		there.left = problems
		for _, name := range cfg.Tables {
			t := found[name]
			if t == nil || slices.Contains(there.tables, t) {
				continue
			}
			if err := t.publishable(true); err != nil {
				there.left = append(there.left, err)
				continue
			}
			there.tables = append(there.tables, t)
		}
		return err
	})
	return there, err
}

// unseenTables are tables of which nothing is known but the name.
func unseenTables(names []string) (tables []*Table) {
	for _, name := range names {
		t := &Table{}
		t.Schema, t.Name = splitTable(name)
		tables = append(tables, t)
	}
	return tables
}
