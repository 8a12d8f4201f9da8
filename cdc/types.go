package cdc

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// builtin are the types whose oids are the same in every database (pg_type.dat)
// and that most tables are made of: with these no catalog need be asked.
var builtin = func() map[uint32]*Type {
	m := map[uint32]*Type{}
	for _, t := range []struct {
		oid, array uint32
		name       string
		kind       TypeKind
	}{
		{16, 1000, "bool", Bool}, {17, 1001, "bytea", Bytea}, {18, 1002, "char", Text}, {19, 1003, "name", Text},
		{20, 1016, "int8", Integer}, {21, 1005, "int2", Integer}, {23, 1007, "int4", Integer},
		{25, 1009, "text", Text}, {26, 1028, "oid", Text}, {114, 199, "json", JSON}, {142, 143, "xml", Text},
		{650, 651, "cidr", Text}, {869, 1041, "inet", Text}, {829, 1040, "macaddr", Text},
		{700, 1021, "float4", Float}, {701, 1022, "float8", Float}, {790, 791, "money", Money},
		{1042, 1014, "bpchar", Char}, {1043, 1015, "varchar", Text},
		{1082, 1182, "date", Date}, {1083, 1183, "time", Text}, {1266, 1270, "timetz", Text},
		{1114, 1115, "timestamp", Timestamp}, {1184, 1185, "timestamptz", Timestamptz}, {1186, 1187, "interval", Text},
		{1560, 1561, "bit", Text}, {1562, 1563, "varbit", Text}, {1700, 1231, "numeric", Numeric},
		{2950, 2951, "uuid", Text}, {3802, 3807, "jsonb", JSON},
	} {
		element := &Type{OID: t.oid, Name: t.name, Kind: t.kind, Delimiter: ','}
		m[t.oid] = element
		m[t.array] = &Type{OID: t.array, Name: "_" + t.name, Kind: Array, Element: element, Delimiter: ','}
	}
	return m
}()

// typeCatalog resolves types and remembers them for one connection.
type typeCatalog struct {
	within context.Context // of the connection whose types they are

	// open gives a session for the questions in hand; release ends it.
	open func(ctx context.Context) (s *session, release func(), err error)

	mu    sync.Mutex
	known map[uint32]*Type
}

// typeTimeout bounds a look at pg_type, which nothing can hold up for long.
const typeTimeout = 15 * time.Second

func (c *typeCatalog) forget(oid uint32) {
	c.mu.Lock()
	delete(c.known, oid)
	c.mu.Unlock()
}

// types implements typeSource. A type that is in no catalog any more (the log
// may be older than its end) is text under the name it had.
func (c *typeCatalog) types(oids []uint32, names map[uint32]string) (map[uint32]*Type, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	found := make(map[uint32]*Type, len(oids))
	var missing []uint32
	for _, oid := range oids {
		if t := builtin[oid]; t != nil {
			found[oid] = t
		} else if t := c.known[oid]; t != nil {
			found[oid] = t
		} else if !slices.Contains(missing, oid) {
			missing = append(missing, oid)
		}
	}
	if len(missing) == 0 {
		return found, nil
	}
	ctx, cancel := context.WithTimeout(c.within, typeTimeout)
	defer cancel()
	s, release, err := c.open(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	raw, err := readTypes(ctx, s, missing)
	if err != nil {
		return nil, err
	}
	if c.known == nil {
		c.known = map[uint32]*Type{}
	}
	for _, oid := range missing {
		t := raw.build(oid)
		if t == nil {
			t = &Type{OID: oid, Name: names[oid], Kind: Text, Delimiter: ','}
		}
		c.known[oid], found[oid] = t, t
	}
	return found, nil
}

// rawType is a row of pg_type, with the attributes of a composite.
type rawType struct {
	oid, base, element uint32
	name               string
	kind               byte // typtype
	delimiter          byte
	fields             []struct {
		name string
		typ  uint32
	}
}

type rawTypes map[uint32]*rawType

// readTypes reads the types and all that they are made of.
func readTypes(ctx context.Context, s *session, oids []uint32) (rawTypes, error) {
	all := rawTypes{}
	for len(oids) > 0 {
		list := oidList(oids)
		// An array is what another type names as its array: int2vector and
		// oidvector have elements, too, but are written without braces.
		r, err := s.query(ctx, `SELECT t.oid, t.typname, t.typtype, t.typbasetype, e.oid, e.typdelim
			FROM pg_type t LEFT JOIN pg_type e ON e.oid = t.typelem AND e.typarray = t.oid
			WHERE t.oid IN (`+list+`)`)
		if err != nil {
			return nil, fmt.Errorf("reading pg_type: %w", err)
		}
		var next []uint32
		want := func(oid uint32) {
			if oid != 0 && all[oid] == nil && !slices.Contains(next, oid) && !slices.Contains(oids, oid) {
				next = append(next, oid)
			}
		}
		for i := range r {
			t := &rawType{oid: oid(r.text(i, 0)), name: r.text(i, 1), kind: r[i][2][0], base: oid(r.text(i, 3)), delimiter: ','}
			if !r.null(i, 4) {
				t.element, t.delimiter = oid(r.text(i, 4)), r[i][5][0]
			}
			all[t.oid] = t
			want(t.base)
			want(t.element)
		}
		f, err := s.query(ctx, `SELECT t.oid, a.attname, a.atttypid FROM pg_type t JOIN pg_attribute a ON a.attrelid = t.typrelid
			WHERE t.typtype = 'c' AND a.attnum > 0 AND NOT a.attisdropped AND t.oid IN (`+list+`) ORDER BY t.oid, a.attnum`)
		if err != nil {
			return nil, fmt.Errorf("reading pg_attribute: %w", err)
		}
		for i := range f {
			t, typ := all[oid(f.text(i, 0))], oid(f.text(i, 2))
			if t == nil {
				continue // made between the two questions
			}
			t.fields = append(t.fields, struct {
				name string
				typ  uint32
			}{f.text(i, 1), typ})
			want(typ)
		}
		oids = next
	}
	return all, nil
}

// build makes the type of an oid; inside are the types it stands in. Postgres
// lets no type contain itself, but the catalog is read in several looks, and
// what they give together must not be followed for ever.
func (all rawTypes) build(oid uint32, inside ...uint32) *Type {
	if t := builtin[oid]; t != nil {
		return t
	}
	raw := all[oid]
	if raw == nil {
		return nil
	}
	inside = append(slices.Clip(inside), oid)
	part := func(oid uint32) *Type {
		if !slices.Contains(inside, oid) {
			if t := all.build(oid, inside...); t != nil {
				return t
			}
		}
		return &Type{OID: oid, Kind: Text, Delimiter: ','}
	}
	if raw.kind == 'd' {
		return part(raw.base)
	}
	t := &Type{OID: oid, Name: raw.name, Kind: Text, Delimiter: raw.delimiter}
	switch {
	case raw.element != 0:
		t.Kind, t.Element = Array, part(raw.element)
	case raw.kind == 'c':
		t.Kind = Composite
		for _, f := range raw.fields {
			t.Fields = append(t.Fields, TypeField{Name: f.name, Type: part(f.typ)})
		}
	case raw.kind == 'b' && raw.name == "hstore":
		t.Kind = Hstore
	}
	return t
}

func oid(text string) uint32 {
	n, _ := strconv.ParseUint(text, 10, 32)
	return uint32(n)
}

func oidList(oids []uint32) string {
	texts := make([]string, len(oids))
	for i, o := range oids {
		texts[i] = strconv.FormatUint(uint64(o), 10)
	}
	return strings.Join(texts, ", ")
}
