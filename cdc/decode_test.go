package cdc

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/pgcio/pgcio/internal/lsn"
	"github.com/pgcio/pgcio/internal/pgtest"
)

var update = flag.Bool("update", false, "record testdata anew from a running Postgres")

// namedTypes resolves what is built in, and the rest as text by name.
type namedTypes struct{}

func (namedTypes) types(oids []uint32, names map[uint32]string) (map[uint32]*Type, error) {
	m := map[uint32]*Type{}
	for _, o := range oids {
		if m[o] = builtin[o]; m[o] == nil {
			m[o] = &Type{OID: o, Name: names[o]}
		}
	}
	return m, nil
}

func (namedTypes) forget(uint32) {}

// scenario is what is recorded: every kind of message that protocol 1 has.
const scenario = `
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE TABLE plain (id int PRIMARY KEY, email text, big text, m mood);
ALTER TABLE plain ALTER big SET STORAGE EXTERNAL;
CREATE TABLE whole (id int PRIMARY KEY, big text); ALTER TABLE whole REPLICA IDENTITY FULL;
ALTER TABLE whole ALTER big SET STORAGE EXTERNAL;
CREATE TABLE indexed (id int PRIMARY KEY, code text NOT NULL UNIQUE); ALTER TABLE indexed REPLICA IDENTITY USING INDEX indexed_code_key;
CREATE PUBLICATION pgcio FOR TABLE plain, whole, indexed;`

var recordedSteps = []string{
	`INSERT INTO plain VALUES (1, 'a@b.c', repeat('x', 4000), 'ok'), (2, NULL, NULL, NULL)`,
	`UPDATE plain SET email = 'b@c.d' WHERE id = 1`,
	`UPDATE plain SET id = 3 WHERE id = 1`,
	`DELETE FROM plain WHERE id = 3`,
	`INSERT INTO whole VALUES (1, repeat('y', 4000))`,
	`UPDATE whole SET id = 2`,
	`DELETE FROM whole`,
	`INSERT INTO indexed VALUES (1, 'one')`,
	`UPDATE indexed SET id = 2`,
	`UPDATE indexed SET code = 'two'`,
	`DELETE FROM indexed`,
	`BEGIN; SELECT pg_logical_emit_message(true, 'p', 'inside'); INSERT INTO plain VALUES (9); TRUNCATE plain, whole; COMMIT`,
	`SELECT pg_logical_emit_message(false, 'p', 'outside')`,
	`ALTER TABLE plain ADD extra int`,
	`INSERT INTO plain VALUES (4, 'e', NULL, 'sad', 7)`,
}

// recorded returns the messages of the scenario.
func recorded(tb testing.TB) [][]byte {
	path := filepath.Join("testdata", "pgoutput-15.hex")
	if t, ok := tb.(*testing.T); ok && *update {
		db := pgtest.New(t, pgtest.Options{}).DB()
		db.Exec(t, scenario)
		db.Exec(t, `SELECT pg_create_logical_replication_slot('recorded', 'pgoutput')`)
		for _, sql := range recordedSteps {
			db.Exec(t, sql)
		}
		var lines []string
		for _, r := range db.Query(t, `SELECT encode(data, 'hex') FROM pg_logical_slot_peek_binary_changes('recorded', NULL, NULL, 'proto_version', '1', 'publication_names', 'pgcio', 'messages', 'true')`) {
			lines = append(lines, r[0])
		}
		if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	var all [][]byte
	for line := range strings.Lines(string(text)) {
		m, err := hex.DecodeString(strings.TrimSpace(line))
		if err != nil {
			tb.Fatal(err)
		}
		all = append(all, m)
	}
	return all
}

func TestDecodeRecorded(t *testing.T) {
	d := newDecoder(namedTypes{}, nil, position{}, 1<<32)
	var b Batch
	for _, m := range recorded(t) {
		if err := d.message(m, &b); err != nil {
			t.Fatal(err)
		}
	}
	var got bytes.Buffer
	for _, c := range b.Changes {
		fmt.Fprintf(&got, "%d %s\n", c.Ordinal, describeChange(c))
		if c.Tx.XID>>32 != 1 || c.Tx.Commit == 0 || c.Tx.Time.Year() < 2026 {
			t.Errorf("transaction %+v", *c.Tx)
		}
	}
	path := filepath.Join("testdata", "pgoutput-15.want")
	if *update {
		if err := os.WriteFile(path, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Error(diff)
	}
}

// Messages for tests that need none of Postgres.

type message []byte

func (m message) u16(v int) message    { return binary.BigEndian.AppendUint16(m, uint16(v)) }
func (m message) u32(v int) message    { return binary.BigEndian.AppendUint32(m, uint32(v)) }
func (m message) u64(v uint64) message { return binary.BigEndian.AppendUint64(m, v) }
func (m message) str(s string) message { return append(append(m, s...), 0) }
func (m message) texts(values ...string) message {
	m = m.u16(len(values))
	for _, v := range values {
		m = append(append(m, 't').u32(len(v)), v...)
	}
	return m
}

func beginMessage(commit, xid int) message {
	return message("B").u64(uint64(commit)).u64(0).u32(xid)
}

func commitMessage(commit, end int) message {
	return append(message("C"), 0).u64(uint64(commit)).u64(uint64(end)).u64(0)
}

func relationMessage(oid int, name string, columns ...string) message {
	m := append(message("R").u32(oid).str("public").str(name), 'd').u16(len(columns))
	for i, c := range columns {
		flag := byte(0)
		if i == 0 {
			flag = 1
		}
		m = append(m, flag).str(c).u32(25).u32(-1)
	}
	return m
}

func insertMessage(oid int, values ...string) message {
	return append(message("I").u32(oid), 'N').texts(values...)
}

func updateMessage(oid int, values ...string) message {
	return append(message("U").u32(oid), 'N').texts(values...)
}

func TestDecodeRefuses(t *testing.T) {
	for name, messages := range map[string][]message{
		"unknown kind":          {message("x")},
		"empty":                 {{}},
		"short begin":           {message("B").u64(1)},
		"begin in transaction":  {beginMessage(1, 1), beginMessage(2, 2)},
		"commit without begin":  {commitMessage(1, 2)},
		"commit of another":     {beginMessage(1, 1), commitMessage(2, 3)},
		"commit before its end": {beginMessage(5, 1), commitMessage(5, 4)},
		"row outside":           {relationMessage(7, "t", "id"), insertMessage(7, "1")},
		"row of unknown table":  {beginMessage(1, 1), insertMessage(7, "1")},
		"too many columns":      {relationMessage(7, "t", "id"), beginMessage(1, 1), insertMessage(7, "1", "2")},
		"binary column":         {relationMessage(7, "t", "id"), beginMessage(1, 1), append(append(message("I").u32(7), 'N').u16(1), 'b', 0, 0, 0, 0)},
		"length past the end":   {relationMessage(7, "t", "id"), beginMessage(1, 1), append(append(message("I").u32(7), 'N').u16(1), 't', 255, 255, 255, 255)},
		"huge relation":         {message("R").u32(1).str("a").str("b")},
		"truncate of too many":  {beginMessage(1, 1), append(message("T").u32(1<<30), 0)},
		"delete without key":    {relationMessage(7, "t", "id"), beginMessage(1, 1), append(message("D").u32(7), 'N').texts("1")},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDecoder(namedTypes{}, nil, position{}, 0)
			var b Batch
			var err error
			for _, m := range messages {
				if err != nil {
					t.Fatalf("failed early: %v", err)
				}
				err = d.message(m, &b)
			}
			if err == nil {
				t.Errorf("no error; changes %v", b.Changes)
			}
		})
	}
}

func TestWidening(t *testing.T) {
	for _, c := range []struct{ known, xid, want uint64 }{
		{3, 5, 5},
		{5, 3, 3},
		{1 << 32, 5, 1<<32 + 5},
		{1 << 32, 0xfffffff0, 0xfffffff0}, // the transaction is older than the turn
		{0xfffffff0, 7, 1<<32 + 7},        // and here newer
		{5<<32 + 100, 1<<31 + 100, 4<<32 + 1<<31 + 100}, // as far before as after
		{5<<32 + 100, 1<<31 + 99, 5<<32 + 1<<31 + 99},
	} {
		d := newDecoder(namedTypes{}, nil, position{}, c.known)
		if err := d.message(beginMessage(1, int(uint32(c.xid))), &Batch{}); err != nil || d.tx.XID != c.want {
			t.Errorf("xid %d beside %d: got %d, %v, want %d", c.xid, c.known, d.tx.XID, err, c.want)
		}
	}
}

// TestResumeAnywhere: wherever a stream is cut and begun again, the changes
// before and after the cut are all changes, once, under strictly rising keys.
func TestResumeAnywhere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type tx struct{ commit, end, rows int }
		var txs []tx
		at := 1
		for range rapid.IntRange(1, 8).Draw(t, "transactions") {
			// Commit records may follow on each other without a gap.
			commit := at + rapid.IntRange(0, 3).Draw(t, "gap")
			at = commit + rapid.IntRange(1, 4).Draw(t, "size")
			txs = append(txs, tx{commit, at, rapid.IntRange(0, 5).Draw(t, "rows")})
		}
		var keys [][2]uint64
		run := func(from position, limit int) position {
			d := newDecoder(namedTypes{}, nil, from, 0)
			b := &Batch{}
			to := from
			hand := func() {
				b.Open = d.mark()
				for _, c := range b.Changes {
					keys = append(keys, [2]uint64{uint64(c.Tx.Commit), c.Ordinal})
				}
				if b.Through > 0 {
					to.through = b.Through
				}
				if b.Through > 0 || b.Open != nil {
					to.open = b.Open
				}
				b = &Batch{}
				d.cut()
			}
			feed := func(m message) {
				if err := d.message(m, b); err != nil {
					t.Fatal(err)
				}
			}
			feed(relationMessage(7, "t", "id"))
			for i, x := range txs {
				if lsn.LSN(x.end) <= from.through {
					continue // Postgres does not send it
				}
				feed(beginMessage(x.commit, 100+i))
				for range x.rows {
					feed(insertMessage(7, "1"))
					if len(b.Changes) >= limit {
						hand()
						if rapid.Bool().Draw(t, "break") {
							return to
						}
					}
				}
				feed(commitMessage(x.commit, x.end))
				if rapid.Bool().Draw(t, "hand") {
					hand()
					if rapid.Bool().Draw(t, "break") {
						return to
					}
				}
			}
			hand()
			return to
		}
		from := position{}
		for from.through < lsn.LSN(txs[len(txs)-1].end) {
			from = run(from, rapid.IntRange(1, 6).Draw(t, "limit"))
		}
		var want [][2]uint64
		for _, x := range txs {
			for i := range x.rows {
				want = append(want, [2]uint64{uint64(x.commit), uint64(i + 1)})
			}
		}
		if !slices.Equal(keys, want) {
			t.Fatalf("got %v, want %v", keys, want)
		}
		for i := 1; i < len(keys); i++ {
			if slices.Compare(keys[i-1][:], keys[i][:]) >= 0 {
				t.Fatalf("%v before %v", keys[i-1], keys[i])
			}
		}
	})
}

func TestOpenMarkMustMatch(t *testing.T) {
	d := newDecoder(namedTypes{}, nil, position{through: 10, open: &Mark{Commit: 20, XID: 5, Rows: 3}}, 0)
	if err := d.message(beginMessage(21, 5), &Batch{}); err == nil {
		t.Error("another transaction was taken for the open one")
	}
	d = newDecoder(namedTypes{}, nil, position{through: 10, open: &Mark{Commit: 20, XID: 5, Rows: 3}}, 0)
	if err := d.message(beginMessage(20, 5), &Batch{}); err != nil {
		t.Fatal(err)
	}
	if err := d.message(commitMessage(20, 30), &Batch{}); err == nil {
		t.Error("a transaction with fewer rows than were stored was taken")
	}
}

func FuzzDecode(f *testing.F) {
	for _, m := range recorded(f) {
		f.Add([]byte(m))
	}
	f.Fuzz(func(t *testing.T, m []byte) {
		for _, in := range []bool{false, true} {
			d := newDecoder(namedTypes{}, nil, position{}, 0)
			var b Batch
			feed := func(m []byte) error { return d.message(m, &b) }
			if err := feed(relationMessage(16385, "t", "id", "v", "w", "x")); err != nil {
				t.Fatal(err)
			}
			if in {
				if err := feed(beginMessage(1, 1)); err != nil {
					t.Fatal(err)
				}
			}
			// The message must not be read past its end: what lies there must not show.
			_ = feed(slices.Clip(slices.Clone(m)))
			for _, c := range b.Changes {
				for _, u := range []Tuple{c.Old, c.New} {
					for i := range u.Len() {
						u.Get(i)
					}
				}
			}
		}
	})
}

// decodeLoad is a transaction of n updates of a row of ten columns.
func decodeLoad(n int) [][]byte {
	columns := []string{"id", "email", "first_name", "last_name", "plan", "created_at", "updated_at", "city", "logins", "active"}
	values := []string{"1234567", "somebody@example.com", "Some", "Body", "premium", "2026-01-02 03:04:05+00", "2026-01-02 03:04:05.123456+00", "Berlin", "42", "t"}
	all := [][]byte{beginMessage(1000, 1)}
	for range n {
		all = append(all, updateMessage(7, values...))
	}
	all = append(all, commitMessage(1000, 1001))
	return append([][]byte{relationMessage(7, "t", columns...)}, all...)
}

func decodeAll(tb testing.TB, d *decoder, b *Batch, messages [][]byte) {
	for _, m := range messages {
		if err := d.message(m, b); err != nil {
			tb.Fatal(err)
		}
	}
}

func TestDecodeAllocatesNothing(t *testing.T) {
	s := New(Config{})
	load := decodeLoad(1000)
	d := newDecoder(namedTypes{}, nil, position{}, 0)
	decodeAll(t, d, &Batch{}, load[:1])
	n := testing.AllocsPerRun(20, func() {
		b := s.batch()
		decodeAll(t, d, b, load[1:])
		d.cut()
		s.Release(b)
	})
	if n > 0 {
		t.Errorf("%v allocations for 1,000 rows", n)
	}
}

// From the bytes that came to a batch, with every kind of row and many small
// transactions: nothing is allocated but what the batch keeps for the next.
func TestStreamAllocatesNothing(t *testing.T) {
	s := New(Config{})
	w := &wire{}
	frame := func(m message) {
		m = append(message("w").u64(0).u64(0).u64(0), m...)
		w.buf = append(append(message(w.buf), 'd').u32(4+len(m)), m...)
	}
	st := newStream(t.Context(), s, w, facts{}, s.cfg)
	st.d = newDecoder(namedTypes{}, nil, position{}, 0)
	frame(relationMessage(7, "t", "id", "v"))
	w.w = len(w.buf)
	if _, err := st.drain(); err != nil {
		t.Fatal(err)
	}
	w.buf = nil
	for i := range 500 {
		frame(beginMessage(10*i+1, i+1))
		frame(insertMessage(7, "1", "somebody@example.com"))
		frame(append(append(message("U").u32(7), 'K').texts("1", ""), append(message("N"), message(nil).texts("2", "other")...)...))
		frame(append(message("D").u32(7), 'K').texts("2", ""))
		frame(append(message("T").u32(1), 0).u32(7))
		frame(commitMessage(10*i+1, 10*i+9))
	}
	n := testing.AllocsPerRun(20, func() {
		w.r, w.w = 0, len(w.buf)
		if _, err := st.drain(); err != nil {
			t.Fatal(err)
		}
		if len(st.batch.Changes) != 2000 || w.r != w.w {
			t.Fatalf("%d changes", len(st.batch.Changes))
		}
		s.Release(st.batch)
		st.batch = s.batch()
		st.d.cut()
	})
	if n > 0 {
		t.Errorf("%v allocations for 2,000 changes", n)
	}
}

func BenchmarkDecode(b *testing.B) {
	s := New(Config{})
	load := decodeLoad(10_000)
	d := newDecoder(namedTypes{}, nil, position{}, 0)
	decodeAll(b, d, &Batch{}, load[:1])
	size := 0
	for _, m := range load {
		size += len(m)
	}
	b.SetBytes(int64(size))
	b.ReportAllocs()
	for b.Loop() {
		batch := s.batch()
		decodeAll(b, d, batch, load[1:])
		d.cut()
		s.Release(batch)
	}
	b.ReportMetric(float64(b.N)*10_000/b.Elapsed().Seconds(), "rows/s")
}
