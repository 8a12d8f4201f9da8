package cdc

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/pgcio/pgcio/internal/lsn"
)

// Setup makes the publication (with Manage) and then the slot, in this order: a
// slot that is older than its publication can never be read (T42). It returns
// the slot's consistent point, which is where the stream begins. It waits until
// every transaction that is open has ended; ctx ends that, and leaves no slot.
func Setup(ctx context.Context, cfg Config) (Identity, lsn.LSN, error) {
	cfg = cfg.withDefaults()
	if _, err := Publish(ctx, cfg); err != nil {
		return Identity{}, 0, err
	}
	return createSlot(ctx, cfg)
}

// Dropped is what Teardown dropped.
type Dropped struct {
	Slot        string // empty: there was none
	HeldBytes   int64  // WAL that the slot held
	Publication string // empty: there was none, or it is not ours
}

// Droppable returns what Teardown would drop.
func Droppable(ctx context.Context, cfg Config) (d Dropped, err error) {
	cfg = cfg.withDefaults()
	err = ask(ctx, cfg, func(s *session) error {
		slot, err := readSlot(ctx, s, cfg.Slot)
		if err != nil {
			return err
		}
		if slot.Exists {
			d.Slot, d.HeldBytes = cfg.Slot, slot.HeldBytes
		}
		pub, err := readPublication(ctx, s, cfg.Publication)
		if err == nil && pub.Ours {
			d.Publication = cfg.Publication
		}
		return err
	})
	return d, err
}

// Teardown drops the slot, and the publication if we made it.
func Teardown(ctx context.Context, cfg Config) (Dropped, error) {
	cfg = cfg.withDefaults()
	d, err := Droppable(ctx, cfg)
	if err != nil {
		return Dropped{}, err
	}
	var errs []error
	if d.Slot != "" {
		if d.HeldBytes, err = DropSlot(ctx, cfg); err != nil {
			d.Slot = ""
			errs = append(errs, err)
		}
	}
	if d.Publication != "" && len(errs) == 0 {
		err := ask(ctx, cfg, func(s *session) error {
			_, err := s.query(ctx, "DROP PUBLICATION IF EXISTS "+quoteIdent(cfg.Publication))
			return err
		})
		if err != nil {
			d.Publication = ""
			errs = append(errs, fmt.Errorf("dropping publication %s: %w", cfg.Publication, err))
		}
	}
	return d, errors.Join(errs...)
}

// SetupSQL is what a database administrator runs where pgcio may not: the role,
// its grants and the publication. columns are the mapped columns of each table;
// none: all. The slot is made by pgcio, because only then does a state belong
// to it.
func SetupSQL(cfg Config, columns map[string][]string) string {
	cfg = cfg.withDefaults()
	role, database := "pgcio", "postgres"
	if pc, err := parseURL(cfg.URL); err == nil {
		role, database = pc.User, pc.Database
		if database == "" {
			database = role
		}
	}
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("-- The role (its password, or how else it proves itself, is yours to choose).")
	line("-- Managed services have a role to grant instead of REPLICATION: rds_replication on Amazon RDS.")
	line("CREATE ROLE %s LOGIN REPLICATION;", quoteIdent(role))
	line("GRANT CONNECT ON DATABASE %s TO %s;", quoteIdent(database), quoteIdent(role))
	var schemas []string
	seen := map[string]bool{}
	for _, t := range cfg.Tables {
		if schema, _ := splitTable(t); !seen[schema] {
			seen[schema] = true
			schemas = append(schemas, quoteIdent(schema))
		}
	}
	line("")
	line("-- What it reads.")
	if len(schemas) > 0 {
		line("GRANT USAGE ON SCHEMA %s TO %s;", strings.Join(schemas, ", "), quoteIdent(role))
	}
	tables := make([]string, len(cfg.Tables))
	for i, t := range cfg.Tables {
		tables[i] = "ONLY " + quoteTable(t)
		if len(columns[t]) > 0 {
			line("GRANT SELECT (%s) ON %s TO %s;", quoteIdents(columns[t]), quoteTable(t), quoteIdent(role))
		} else {
			line("GRANT SELECT ON %s TO %s;", quoteTable(t), quoteIdent(role))
		}
	}
	line("")
	line("-- What is published (as the owner of the tables).")
	line("CREATE PUBLICATION %s FOR TABLE %s WITH (publish_via_partition_root = true);", quoteIdent(cfg.Publication), strings.Join(tables, ", "))
	return b.String()
}
