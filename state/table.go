package state

import (
	"context"
	"encoding/binary"
	"fmt"
)

// Table is the table that a mapping's changes are streamed of. Another OID is
// another table, whatever its name; another Member tells that the table was
// taken out of the publication in between, or that one changed.
type Table struct {
	Name   string
	OID    uint32
	Member uint32 // stands for its entry in the publication, and what that publishes
	// Away is set when pgcio has run without the mapping since.
	Away bool
}

var tablesKey = string(metaKey("tables"))

func (g *registry) loadTables(r reader) error {
	v := r.get([]byte(tablesKey))
	if v == nil {
		return nil
	}
	d := open(tablesKey, v)
	for range d.count(5) {
		n := int(d.uint())
		t := Table{d.string(), uint32(d.uint()), uint32(d.uint()), d.byte()&1 != 0}
		if n < len(g.mappings) {
			g.mappings[n].table = t
		}
	}
	return d.err
}

// Tables returns the tables that the mappings in force, in their order, have
// been streamed of since the last start; a zero Table: nothing is known.
func (s *Store) Tables() []Table {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]Table, len(s.registry.inForce))
	for i, m := range s.registry.inForce {
		out[i] = m.table
	}
	return out
}

// Streamed enters the tables that the mappings in force are streamed of from now
// on, in their order.
func (s *Store) Streamed(ctx context.Context, tables []Table) error {
	err := s.Update(ctx, func(tx *Tx) error {
		tx.storeTables(tables)
		return nil
	})
	if err != nil {
		return fmt.Errorf("storing which tables are streamed: %w", err)
	}
	return nil
}

// Missed enters that changes of a mapping's table were not streamed, and that
// nothing is known of that table any more. What backfills is backfilled again,
// which again tells: what was said of a row stays true, so that only what
// differs is sent. Another mapping would backfill for the first time if it were
// told to.
func (s *Store) Missed(ctx context.Context, mapping int) (again bool, err error) {
	m := s.registry.inForce[mapping]
	tables := s.Tables()
	tables[mapping] = Table{}
	err = s.Update(ctx, func(tx *Tx) error {
		tx.storeTables(tables)
		tx.backfillAgain(m)
		return nil
	})
	if err != nil {
		return false, fmt.Errorf("storing that changes of mapping %q were missed: %w", m.name, err)
	}
	return m.def.Backfill, nil
}

// storeTables stores the tables of the mappings in force; the others' stay, and
// are away.
func (tx *Tx) storeTables(tables []Table) {
	g := &tx.s.registry
	known := make([]Table, len(g.mappings))
	for i, m := range g.mappings {
		known[i] = m.table
		known[i].Away = m.table != Table{}
	}
	for i, m := range g.inForce {
		known[m.number] = tables[i]
	}
	v := binary.AppendUvarint([]byte{recordVersion}, uint64(len(known)))
	for n, t := range known {
		v = binary.AppendUvarint(v, uint64(n))
		v = appendBytes(v, t.Name)
		v = binary.AppendUvarint(v, uint64(t.OID))
		v = binary.AppendUvarint(v, uint64(t.Member))
		v = append(v, flag(t.Away, 1))
	}
	tx.writes[tablesKey] = seal(v, 0, tablesKey)
	tx.then(func() {
		for n, t := range known {
			g.mappings[n].table = t
		}
	})
}
