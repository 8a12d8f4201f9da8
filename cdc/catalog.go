package cdc

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"
)

// TableError is what is wrong with one table that was asked for.
type TableError struct {
	Table  string
	Reason string
	Near   []string // tables with nearly that name
}

func (e *TableError) Error() string {
	text := fmt.Sprintf("table %s: %s", e.Table, e.Reason)
	if len(e.Near) > 0 {
		text += "; did you mean " + strings.Join(e.Near, ", ") + "?"
	}
	return text
}

// Catalog describes tables, given as "schema.name". Tables that cannot be are
// left out, and are errors: a *TableError each, joined.
func Catalog(ctx context.Context, cfg Config, tables []string) (map[string]*Table, error) {
	cfg = cfg.withDefaults()
	var found map[string]*Table
	var problems []error
	err := ask(ctx, cfg, func(s *session) (err error) {
		found, problems, err = describe(ctx, s, cfg, tables)
		return err
	})
	if err != nil {
		return nil, err
	}
	return found, errors.Join(problems...)
}

// describe reads the catalog for tables.
func describe(ctx context.Context, s *session, cfg Config, tables []string) (map[string]*Table, []error, error) {
	if len(tables) == 0 {
		return nil, nil, nil
	}
	names := make([]string, len(tables))
	for i, t := range tables {
		schema, name := splitTable(t)
		names[i] = "(" + quoteLiteral(schema) + ", " + quoteLiteral(name) + ")"
	}
	r, err := s.query(ctx, `SELECT c.oid, n.nspname, c.relname, c.relkind, c.relreplident, c.reltuples::int8, c.relpersistence
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE (n.nspname, c.relname) IN (`+strings.Join(names, ", ")+`)`)
	if err != nil {
		return nil, nil, fmt.Errorf("reading pg_class: %w", err)
	}
	byName, byOID := map[string]*Table{}, map[uint32]*Table{}
	var oids []uint32
	for i := range r {
		t := &Table{OID: oid(r.text(i, 0)), Schema: r.text(i, 1), Name: r.text(i, 2), Kind: r[i][3][0],
			Identity: ReplicaIdentity(r[i][4][0]), Rows: r.int(i, 5), persistence: r[i][6][0]}
		byName[t.String()], byOID[t.OID] = t, t
		oids = append(oids, t.OID)
	}
	var problems []error
	found := map[string]*Table{}
	for _, name := range tables {
		schema, bare := splitTable(name)
		if t := byName[schema+"."+bare]; t != nil {
			found[name] = t
			continue
		}
		near, err := nearTables(ctx, s, name)
		if err != nil {
			return nil, nil, err
		}
		problems = append(problems, &TableError{Table: name, Reason: "there is no such table in this database", Near: near})
	}
	if len(oids) == 0 {
		return found, problems, nil
	}
	for _, read := range []func(context.Context, *session, Config, map[uint32]*Table, string) error{
		readPublished, readColumns, readIndexes, readPartitions,
	} {
		if err := read(ctx, s, cfg, byOID, oidList(oids)); err != nil {
			return nil, nil, err
		}
	}
	return found, problems, nil
}

// readPublished reads what our publication has of the tables.
func readPublished(ctx context.Context, s *session, cfg Config, tables map[uint32]*Table, oids string) error {
	// Row filters and column lists exist since 15, and so do their columns.
	more := "NULL, NULL, false"
	if s.version >= 150000 {
		more = `p.rowfilter, (SELECT json_agg(a) FROM unnest(p.attnames) a), EXISTS (SELECT FROM pg_publication_rel r JOIN pg_publication b ON b.oid = r.prpubid
			WHERE b.pubname = p.pubname AND r.prrelid = c.oid AND r.prattrs IS NOT NULL)`
	}
	r, err := s.query(ctx, `SELECT c.oid, `+more+`, coalesce((SELECT r.oid FROM pg_publication_rel r JOIN pg_publication b ON b.oid = r.prpubid
			WHERE b.pubname = p.pubname AND r.prrelid = c.oid), 0), (SELECT xmin FROM pg_publication b WHERE b.pubname = p.pubname) FROM pg_publication_tables p
		JOIN pg_namespace n ON n.nspname = p.schemaname JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = p.tablename
		WHERE p.pubname = `+quoteLiteral(cfg.Publication)+` AND c.oid IN (`+oids+`)`)
	if err != nil {
		return fmt.Errorf("reading pg_publication_tables: %w", err)
	}
	for i := range r {
		t := tables[oid(r.text(i, 0))]
		t.Published, t.RowFilter, t.Member = true, r.text(i, 1), crc32.ChecksumIEEE([]byte(r.text(i, 4)+" "+r.text(i, 5)))
		columns, err := jsonStrings(r[i][2])
		if err != nil {
			return fmt.Errorf("reading the columns that are published of %s: %w", t, err)
		}
		t.published = columns
		if r.bool(i, 3) {
			t.ColumnList = columns
		}
	}
	return nil
}

// readColumns reads the columns that the stream carries.
func readColumns(ctx context.Context, s *session, _ Config, tables map[uint32]*Table, oids string) error {
	r, err := s.query(ctx, `SELECT attrelid, attname, atttypid, attnotnull, attgenerated <> '' FROM pg_attribute
		WHERE attnum > 0 AND NOT attisdropped AND attrelid IN (`+oids+`) ORDER BY attrelid, attnum`)
	if err != nil {
		return fmt.Errorf("reading pg_attribute: %w", err)
	}
	catalog := &typeCatalog{within: ctx, open: func(context.Context) (*session, func(), error) { return s, func() {}, nil }}
	var typeOIDs []uint32
	for i := range r {
		typeOIDs = append(typeOIDs, oid(r.text(i, 2)))
	}
	types, err := catalog.types(typeOIDs, nil)
	if err != nil {
		return err
	}
	for i := range r {
		t, name := tables[oid(r.text(i, 0))], r.text(i, 1)
		// Before 18 no generated column is sent, though 15 names them as published.
		carried := !r.bool(i, 4) || s.version >= 180000 && t.published != nil
		if carried && t.published != nil {
			carried = slices.Contains(t.published, name)
		}
		if !carried {
			t.Unpublished = append(t.Unpublished, name)
			if r.bool(i, 4) {
				t.Generated = append(t.Generated, name)
			}
			continue
		}
		t.Columns = append(t.Columns, TableColumn{Name: name, Type: types[oid(r.text(i, 2))], NotNull: r.bool(i, 3)})
	}
	return nil
}

// readIndexes reads what identifies a row.
func readIndexes(ctx context.Context, s *session, _ Config, tables map[uint32]*Table, oids string) error {
	r, err := s.query(ctx, `SELECT i.indrelid, i.indisprimary, i.indisreplident,
		(SELECT json_agg(a.attname ORDER BY k.n) FROM unnest(i.indkey::int2[]) WITH ORDINALITY k(attnum, n)
			JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum WHERE k.n <= i.indnkeyatts), x.relname,
		NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey) AND NOT a.attnotnull), i.indimmediate
		FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid WHERE i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL AND i.indrelid IN (`+oids+`)
		ORDER BY i.indexrelid`)
	if err != nil {
		return fmt.Errorf("reading pg_index: %w", err)
	}
	for i := range r {
		t := tables[oid(r.text(i, 0))]
		columns, err := jsonStrings(r[i][3])
		if err != nil {
			return fmt.Errorf("reading the indexes of %s: %w", t, err)
		}
		primary, immediate := r.bool(i, 1), r.bool(i, 6)
		if primary {
			t.PrimaryKey, t.lazyKey = columns, !immediate
		}
		if immediate && (t.Identity == IdentityDefault && primary || t.Identity == IdentityIndex && r.bool(i, 2)) {
			t.IdentityColumns = columns
		}
		if immediate && r.bool(i, 5) && t.uniqueIndex == "" {
			t.uniqueIndex = r.text(i, 4)
		}
		if len(columns) == 1 && !slices.Contains(t.UniqueColumns, columns[0]) {
			t.UniqueColumns = append(t.UniqueColumns, columns[0])
		}
	}
	for _, t := range tables {
		for i := range t.Columns {
			c := &t.Columns[i]
			if t.Identity == IdentityFull {
				t.IdentityColumns = append(t.IdentityColumns, c.Name)
			}
			c.Key = slices.Contains(t.IdentityColumns, c.Name)
		}
	}
	return nil
}

// readPartitions looks for partitions that identify old rows otherwise than the
// table: a replica identity is each partition's own. Without one its updates and
// deletes fail; with less than the table's, the old rows that the log has of it
// are sent in the table's shape, with nulls for what was never logged (T35).
func readPartitions(ctx context.Context, s *session, _ Config, tables map[uint32]*Table, oids string) error {
	r, err := s.query(ctx, `SELECT p.root, n.nspname || '.' || c.relname, c.relreplident,
		(SELECT json_agg(a.attname) FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1])
			WHERE i.indrelid = c.oid AND i.indisvalid AND i.indimmediate
			AND CASE c.relreplident WHEN 'd' THEN i.indisprimary WHEN 'i' THEN i.indisreplident END)
		FROM (SELECT r.oid AS root, t.relid FROM pg_class r, pg_partition_tree(r.oid) t WHERE r.relkind = 'p' AND t.isleaf AND r.oid IN (`+oids+`)) p
		JOIN pg_class c ON c.oid = p.relid AND c.relkind = 'r' JOIN pg_namespace n ON n.oid = c.relnamespace ORDER BY 1, 2`)
	if err != nil {
		return fmt.Errorf("reading the partitions: %w", err)
	}
	for i := range r {
		t, identity := tables[oid(r.text(i, 0))], ReplicaIdentity(r[i][2][0])
		columns, err := jsonStrings(r[i][3])
		if err != nil {
			return fmt.Errorf("reading the replica identity of %s: %w", r.text(i, 1), err)
		}
		outside := func(c string) bool { return !slices.Contains(columns, c) }
		less := len(columns) == 0 || t.Identity == IdentityFull || slices.ContainsFunc(t.IdentityColumns, outside)
		if t.stray == "" && identity != IdentityFull && less {
			t.stray, t.strayBare = r.text(i, 1), len(columns) == 0
		}
	}
	return nil
}

// nearLimit is how many names a message suggests.
const nearLimit = 3

func nearTables(ctx context.Context, s *session, table string) ([]string, error) {
	r, err := s.query(ctx, `SELECT n.nspname || '.' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'`)
	if err != nil {
		return nil, fmt.Errorf("listing tables: %w", err)
	}
	type candidate struct {
		name     string
		distance int
	}
	var all []candidate
	_, bare := splitTable(table)
	for i := range r {
		name := r.text(i, 0)
		_, other := splitTable(name)
		d := min(distance(table, name), distance(bare, other))
		if d <= max(2, len(bare)/3) {
			all = append(all, candidate{name, d})
		}
	}
	slices.SortFunc(all, func(a, b candidate) int {
		if a.distance != b.distance {
			return a.distance - b.distance
		}
		return strings.Compare(a.name, b.name)
	})
	var near []string
	for _, c := range all[:min(len(all), nearLimit)] {
		near = append(near, c.name)
	}
	return near, nil
}

// distance is how many letters have to change to make b of a (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := diagonal
			if a[i-1] != b[j-1] {
				cost++
			}
			diagonal = row[j]
			row[j] = min(cost, row[j]+1, row[j-1]+1)
		}
	}
	return row[len(b)]
}
