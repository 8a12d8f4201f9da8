//go:build !mutations

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/pgcio/pgcio/cdc"
	"github.com/pgcio/pgcio/internal/lsn"
)

// world is a database that commits transactions of a seeded workload, and the
// walsender of its one slot: it resends from what was acknowledged, as
// Postgres does.
type world struct {
	mu      sync.Mutex
	rng     *rand.Rand
	tables  map[string]*cdc.Table
	rows    map[string]map[string][]rowVersion // table → row id → versions, oldest first
	txns    []worldTxn
	xid     uint64
	end     lsn.LSN
	acked   lsn.LSN // what the slot may forget
	slotXID uint64  // the newest transaction before the slot
	grown   chan struct{}

	users, orders, profiles int      // last ids given
	emails                  int      // addresses given
	loose                   []string // addresses their holders have given up
	events                  map[string]bool
}

// rowVersion is a row as a transaction left it; nil columns: deleted.
type rowVersion struct {
	xid     uint64
	columns []cdc.Column
}

type worldTxn struct {
	commit, end lsn.LSN
	xid         uint64
	at          time.Time
	changes     []cdc.Change
}

func textType() *cdc.Type { return &cdc.Type{Name: "text", Kind: cdc.Text} }
func intType() *cdc.Type  { return &cdc.Type{Name: "int8", Kind: cdc.Integer} }

func worldTable(oid uint32, name string, columns ...cdc.TableColumn) *cdc.Table {
	columns[0].Key = true
	return &cdc.Table{
		OID: oid, Schema: "public", Name: name, Columns: columns, PrimaryKey: []string{"id"}, Identity: cdc.IdentityDefault,
		IdentityColumns: []string{"id"}, UniqueColumns: []string{"id"}, Published: true, Kind: 'r', Rows: -1,
	}
}

func newWorld(seed uint64) *world {
	w := &world{
		rng: rand.New(rand.NewPCG(seed, 1)), xid: 100, end: 0x1000, grown: make(chan struct{}), events: map[string]bool{},
		tables: map[string]*cdc.Table{
			"public.users": worldTable(1, "users", cdc.TableColumn{Name: "id", Type: intType()}, cdc.TableColumn{Name: "email", Type: textType()},
				cdc.TableColumn{Name: "plan", Type: textType()}, cdc.TableColumn{Name: "bio", Type: textType()}, cdc.TableColumn{Name: "deleted", Type: &cdc.Type{Name: "bool", Kind: cdc.Bool}}),
			"public.profiles": worldTable(2, "profiles", cdc.TableColumn{Name: "id", Type: intType()}, cdc.TableColumn{Name: "user_id", Type: intType()}, cdc.TableColumn{Name: "tier", Type: textType()}),
			"public.orders": worldTable(3, "orders", cdc.TableColumn{Name: "id", Type: intType()}, cdc.TableColumn{Name: "user_id", Type: intType()},
				cdc.TableColumn{Name: "total", Type: intType()}, cdc.TableColumn{Name: "status", Type: textType()}),
		},
		rows: map[string]map[string][]rowVersion{"public.users": {}, "public.profiles": {}, "public.orders": {}},
	}
	return w
}

func text(s string) cdc.Column { return cdc.Column{State: cdc.Present, Text: []byte(s)} }

// value is a column's text; "" for null.
func value(c cdc.Column) string { return string(c.Text) }

// current is a row as the transaction in hand sees it; nil: there is none.
func (w *world) current(table, id string) []cdc.Column {
	vs := w.rows[table][id]
	if len(vs) == 0 {
		return nil
	}
	return vs[len(vs)-1].columns
}

// living are the ids of a table's rows, in a stable order.
func (w *world) living(table string) []string {
	var ids []string
	for id := range w.rows[table] {
		if w.current(table, id) != nil {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

func (w *world) pick(table string) string {
	ids := w.living(table)
	if len(ids) == 0 {
		return ""
	}
	return ids[w.rng.IntN(len(ids))]
}

// commit runs a transaction of n operations. Streamed tells whether the slot
// exists yet.
func (w *world) commit(n int, streamed bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.xid++
	t := worldTxn{commit: w.end + 0x10, xid: w.xid, at: time.Now()}
	inserted := map[string]bool{} // orders of this transaction
	for range n {
		w.operation(&t, inserted)
	}
	for id := range inserted {
		if row := w.current("public.orders", id); streamed && row != nil && value(row[3]) != "draft" {
			w.events[id] = true
		}
	}
	w.end = t.commit + lsn.LSN(0x20+0x10*len(t.changes))
	t.end = w.end
	tx := &cdc.Transaction{Commit: t.commit, XID: t.xid, Time: t.at}
	for i := range t.changes {
		t.changes[i].Tx, t.changes[i].Ordinal = tx, uint64(i+1)
	}
	if streamed {
		w.txns = append(w.txns, t)
	} else {
		w.acked = w.end
	}
	close(w.grown)
	w.grown = make(chan struct{})
}

func (w *world) write(t *worldTxn, table, id string, row []cdc.Column) {
	old := w.current(table, id)
	w.rows[table][id] = append(w.rows[table][id], rowVersion{w.xid, row})
	tab := w.tables[table]
	c := cdc.Change{Table: tab}
	key := make([]cdc.Column, len(tab.Columns))
	key[0] = text(id)
	switch {
	case old == nil:
		c.Kind, c.New = cdc.Insert, cdc.NewTuple(row...)
	case row == nil:
		c.Kind, c.KeyOnly, c.Old = cdc.Delete, true, cdc.NewTuple(key...)
	default:
		sent := slices.Clone(row)
		for i := range sent {
			if tab.Columns[i].Name == "bio" && sent[i].State == cdc.Present && string(sent[i].Text) == string(old[i].Text) {
				sent[i] = cdc.Column{} // a large value that did not change is not sent
			}
		}
		c.Kind, c.New = cdc.Update, cdc.NewTuple(sent...)
	}
	t.changes = append(t.changes, c)
}

// rekey moves a row to another primary key.
func (w *world) rekey(t *worldTxn, table, id, to string) {
	old := w.current(table, id)
	row := slices.Clone(old)
	row[0] = text(to)
	w.rows[table][id] = append(w.rows[table][id], rowVersion{w.xid, nil})
	w.rows[table][to] = append(w.rows[table][to], rowVersion{w.xid, row})
	tab := w.tables[table]
	key := make([]cdc.Column, len(tab.Columns))
	key[0] = text(id)
	sent := slices.Clone(row)
	for i := range sent {
		if tab.Columns[i].Name == "bio" && sent[i].State == cdc.Present {
			sent[i] = cdc.Column{}
		}
	}
	t.changes = append(t.changes, cdc.Change{Kind: cdc.Update, KeyOnly: true, Table: tab, Old: cdc.NewTuple(key...), New: cdc.NewTuple(sent...)})
}

func (w *world) newEmail() string {
	w.emails++
	return fmt.Sprintf("u%d@x.test", w.emails)
}

// operation is one statement of the workload.
func (w *world) operation(t *worldTxn, inserted map[string]bool) {
	plan := text([]string{"free", "pro", "team"}[w.rng.IntN(3)])
	bio := text("bio " + strconv.Itoa(w.rng.IntN(1000)))
	if w.rng.IntN(4) == 0 {
		bio = cdc.Column{State: cdc.Null}
	}
	no, yes := text("f"), text("t")
	switch w.rng.IntN(20) {
	case 0, 1, 2:
		w.users++
		id := strconv.Itoa(w.users)
		deleted := no
		if w.rng.IntN(6) == 0 {
			deleted = yes
		}
		w.write(t, "public.users", id, []cdc.Column{text(id), text(w.newEmail()), plan, bio, deleted})
	case 3, 4, 5, 6:
		w.change(t, "public.users", 2, plan)
	case 7:
		w.change(t, "public.users", 3, bio)
	case 8: // another address; the old one may go to somebody else, later
		id := w.pick("public.users")
		row := w.current("public.users", id)
		if row == nil || value(row[4]) == "t" {
			return
		}
		w.loose = append(w.loose, value(row[1]))
		w.change(t, "public.users", 1, text(w.newEmail()), id)
	case 9: // an address that somebody gave up
		if len(w.loose) == 0 {
			return
		}
		email := w.loose[0]
		w.loose = w.loose[1:]
		w.change(t, "public.users", 1, text(email))
	case 10:
		w.change(t, "public.users", 4, yes)
	case 11, 12:
		w.change(t, "public.users", 4, no)
	case 13:
		id := w.pick("public.users")
		if id == "" {
			return
		}
		if w.rng.IntN(2) == 0 {
			w.write(t, "public.users", id, nil)
			return
		}
		w.users++
		// The person of the old id keeps the address, so the row takes another.
		w.rekey(t, "public.users", id, strconv.Itoa(w.users))
		w.change(t, "public.users", 1, text(w.newEmail()), strconv.Itoa(w.users))
	case 14:
		user := w.pick("public.users")
		if user == "" {
			return
		}
		for _, id := range w.living("public.profiles") {
			if value(w.current("public.profiles", id)[1]) == user {
				return
			}
		}
		w.profiles++
		id := strconv.Itoa(w.profiles)
		w.write(t, "public.profiles", id, []cdc.Column{text(id), text(user), plan})
	case 15:
		w.change(t, "public.profiles", 2, plan)
	case 16, 17, 18:
		user := w.pick("public.users")
		if user == "" {
			return
		}
		w.orders++
		id := strconv.Itoa(w.orders)
		status := "paid"
		if w.rng.IntN(3) == 0 {
			status = "draft"
		}
		inserted[id] = true
		w.write(t, "public.orders", id, []cdc.Column{text(id), text(user), text(strconv.Itoa(w.rng.IntN(100))), text(status)})
	case 19:
		id := w.pick("public.orders")
		if id == "" {
			return
		}
		if w.rng.IntN(2) == 0 {
			w.write(t, "public.orders", id, nil)
		} else {
			w.change(t, "public.orders", 3, text([]string{"paid", "draft"}[w.rng.IntN(2)]), id)
		}
	}
}

// change updates one column of a row, of any row unless id says which.
func (w *world) change(t *worldTxn, table string, column int, to cdc.Column, id ...string) {
	if id == nil {
		id = []string{w.pick(table)}
	}
	row := slices.Clone(w.current(table, id[0]))
	if row == nil {
		return
	}
	row[column] = to
	w.write(t, table, id[0], row)
}

// tape is one connection to the world's slot: what cdc.Source is to Postgres.
type tape struct {
	w       *world
	rng     *rand.Rand
	next    int    // transaction
	skip    uint64 // of its changes
	handed  lsn.LSN
	started lsn.LSN
	mu      sync.Mutex
	wants   []cdc.Want
	pages   []*cdc.Batch
	wanted  chan struct{}
}

// newTape resumes after what the state has stored. It reports an error when
// the slot has forgotten what the state has not.
func newTape(w *world, seed uint64, stored lsn.LSN, open *cdc.Mark) (*tape, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.acked > stored {
		return nil, fmt.Errorf("the slot is at %s, the state at %s: changes are lost", w.acked, stored)
	}
	t := &tape{w: w, rng: rand.New(rand.NewPCG(seed, 2)), handed: stored, started: stored, wanted: make(chan struct{}, 1)}
	for t.next < len(w.txns) && w.txns[t.next].commit < stored {
		t.next++
	}
	if open != nil && open.Commit != 0 {
		if t.next >= len(w.txns) || w.txns[t.next].commit != open.Commit || w.txns[t.next].xid != open.XID {
			return nil, fmt.Errorf("the mark %+v is not of the transaction that comes", *open)
		}
		t.skip = open.Rows
	}
	return t, nil
}

func (t *tape) Release(*cdc.Batch) {}

func (t *tape) Stored(at lsn.LSN) {
	t.w.mu.Lock()
	defer t.w.mu.Unlock()
	if at > t.handed {
		panic(fmt.Sprintf("acknowledged %s, of which only %s was received", at, t.handed))
	}
	if t.rng.IntN(4) > 0 { // status updates get lost
		t.w.acked = max(t.w.acked, at)
	}
}

func (t *tape) Read(want cdc.Want) {
	t.mu.Lock()
	t.wants = append(t.wants, want)
	t.mu.Unlock()
	select {
	case t.wanted <- struct{}{}:
	default:
	}
}

func (t *tape) Next(ctx context.Context) (*cdc.Batch, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		t.w.mu.Lock()
		grown := t.w.grown
		t.read()
		b := t.page()
		if b == nil {
			b = t.stream()
		}
		t.w.mu.Unlock()
		if b != nil {
			return b, nil
		}
		select {
		case <-ctx.Done():
		case <-grown:
		case <-t.wanted:
		}
	}
}

// stream hands on some whole transactions, or a part of one.
func (t *tape) stream() *cdc.Batch {
	b := &cdc.Batch{}
	for n := 1 + t.rng.IntN(3); n > 0 && t.next < len(t.w.txns); n-- {
		txn := &t.w.txns[t.next]
		rest := txn.changes[t.skip:]
		if len(rest) > 1 && t.rng.IntN(5) == 0 {
			part := 1 + t.rng.IntN(len(rest)-1)
			b.Changes = append(b.Changes, rest[:part]...)
			t.skip += uint64(part)
			b.Open = &cdc.Mark{Commit: txn.commit, XID: txn.xid, Rows: t.skip}
			break
		}
		b.Changes = append(b.Changes, rest...)
		b.Through = txn.end
		t.next++
		t.skip = 0
	}
	if b.Through != 0 {
		t.handed = b.Through
	}
	if b.Through == 0 && b.Open == nil {
		return nil
	}
	return b
}

// read answers what was asked for from a snapshot that may be a little behind
// the newest commit, as a synchronous standby makes it.
func (t *tape) read() {
	t.mu.Lock()
	wants := t.wants
	t.wants = nil
	t.mu.Unlock()
	for i := range wants {
		want := &wants[i]
		// Every transaction older than the keeping of xids has ended: the first
		// page has waited for that.
		sees := max(t.w.xid-uint64(t.rng.IntN(2)), t.w.slotXID)
		b := &cdc.Batch{Read: &cdc.Page{
			Want: want, Snapshot: cdc.Snapshot{XMin: sees + 1, XMax: sees + 1}, Position: t.w.end, Time: time.Now(),
		}}
		table := t.w.tables[want.Table]
		var ids []int
		for id := range t.w.rows[want.Table] {
			n, _ := strconv.Atoi(id)
			ids = append(ids, n)
		}
		slices.Sort(ids)
		limit := 1 + t.rng.IntN(4)
		b.Read.Done = want.Keys == nil
		for _, n := range ids {
			id := strconv.Itoa(n)
			if want.Keys != nil && !slices.ContainsFunc(want.Keys, func(k []string) bool { return k[0] == id }) {
				continue
			}
			if want.After != nil {
				if after, _ := strconv.Atoi(want.After[0]); n <= after {
					continue
				}
			}
			var row []cdc.Column
			for _, v := range t.w.rows[want.Table][id] {
				if v.xid <= sees {
					row = v.columns
				}
			}
			if row == nil {
				continue
			}
			if want.Keys == nil && len(b.Changes) == limit {
				b.Read.Done = false
				break
			}
			b.Changes = append(b.Changes, cdc.Change{Kind: cdc.Read, Table: table, New: cdc.NewTuple(row...), Tx: &cdc.Transaction{Time: b.Read.Time}})
			b.Read.Last = []string{id}
		}
		t.pages = append(t.pages, b)
	}
}

// page hands on what was read once the stream is past it.
func (t *tape) page() *cdc.Batch {
	for i, b := range t.pages {
		if b.Read.Position <= t.handed && t.skip == 0 {
			t.pages = slices.Delete(t.pages, i, i+1)
			return b
		}
	}
	return nil
}
