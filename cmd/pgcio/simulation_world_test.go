package main

import (
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/pgcio/pgcio/cdc"
	"github.com/pgcio/pgcio/internal/lsn"
)

// world is a database that commits the transactions of a seeded workload, and
// what its one slot has been told it may forget.
//
// Every value that the workload writes ends in the xid of its transaction
// ("pro@117"), so that what goes over the wire tells where it comes from.
type world struct {
	mu     sync.Mutex
	rng    *rand.Rand
	tables map[string]*cdc.Table
	rows   map[string]map[string][]rowVersion // table → row id → versions, oldest first
	ids    map[string][]string                // table → all ids its rows ever had, ascending
	last   map[string]string                  // table → the row that was written last
	txns   []worldTxn                         // since the slot
	xid    uint64
	end    lsn.LSN
	acked  lsn.LSN // what the slot may forget
	grown  chan struct{}

	slot    lsn.LSN // where the slot begins
	slotXID uint64  // the newest transaction before the slot
	open    bool    // the slot exists
	seen    uint64  // the newest transaction that a snapshot has seen

	// met are the users who were handed on by a backfill, being in, before the
	// stream had anything about them.
	met map[string]bool

	workload
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

const (
	users    = "public.users"
	profiles = "public.profiles"
	contacts = "public.contacts"
	orders   = "public.orders"
	visits   = "public.visits"
	phones   = "public.phones"
	accounts = "public.accounts"
	seats    = "public.seats"
)

// Columns of users, by place.
const (
	userEmail   = 1
	userPlan    = 2
	userBio     = 3
	userDeleted = 4
)

// Columns of the other tables. The second one is whom the row is about: a
// user's id, or an address.
const (
	whom          = 1
	profileTier   = 2
	contactScore  = 2
	orderTotal    = 2
	orderStatus   = 3
	orderRef      = 4
	orderPlacedAt = 5
	phoneToken    = 2
	phoneBuild    = 3
	accountName   = 1
	seatAccount   = 2
	seatRole      = 3
)

func worldTable(oid uint32, name string, columns ...string) *cdc.Table {
	t := &cdc.Table{
		OID: oid, Schema: "public", Name: name, PrimaryKey: []string{"id"}, Identity: cdc.IdentityDefault,
		IdentityColumns: []string{"id"}, UniqueColumns: []string{"id"}, Published: true, Kind: 'r', Rows: -1,
	}
	for i, c := range columns {
		typ := &cdc.Type{Name: "text", Kind: cdc.Text}
		switch c {
		case "id", "user_id", "account_id", "placed":
			typ = &cdc.Type{Name: "int8", Kind: cdc.Integer}
		case "deleted":
			typ = &cdc.Type{Name: "bool", Kind: cdc.Bool}
		}
		t.Columns = append(t.Columns, cdc.TableColumn{Name: c, Type: typ, Key: i == 0})
	}
	return t
}

func newWorld(seed uint64) *world {
	w := &world{
		rng: rand.New(rand.NewPCG(seed, 1)), xid: 100, end: 0x1000, grown: make(chan struct{}), rows: map[string]map[string][]rowVersion{}, ids: map[string][]string{}, last: map[string]string{}, met: map[string]bool{},
		tables: map[string]*cdc.Table{
			users:    worldTable(1, "users", "id", "email", "plan", "bio", "deleted"),
			profiles: worldTable(2, "profiles", "id", "user_id", "tier"),
			contacts: worldTable(3, "contacts", "id", "address", "score"),
			orders:   worldTable(4, "orders", "id", "user_id", "total", "status", "ref", "placed"),
			visits:   worldTable(5, "visits", "id", "address"),
			phones:   worldTable(6, "phones", "id", "user_id", "token", "build"),
			accounts: worldTable(7, "accounts", "id", "name"),
			seats:    worldTable(8, "seats", "id", "user_id", "account_id", "role"),
		},
		workload: newWorkload(rand.New(rand.NewPCG(seed, 4))),
	}
	for name := range w.tables {
		w.rows[name] = map[string][]rowVersion{}
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

// changedBy is the newest transaction that wrote the row.
func (w *world) changedBy(table, id string) uint64 {
	vs := w.rows[table][id]
	return vs[len(vs)-1].xid
}

// living are the ids of a table's rows, ascending.
func (w *world) living(table string) []string {
	ids := make([]string, 0, len(w.ids[table]))
	for _, id := range w.ids[table] {
		if w.current(table, id) != nil {
			ids = append(ids, id)
		}
	}
	return ids
}

// append enters what the transaction in hand makes of a row.
func (w *world) append(table, id string, row []cdc.Column) {
	if len(w.rows[table][id]) == 0 {
		w.ids[table] = append(w.ids[table], id) // given out ascending
	}
	w.rows[table][id] = append(w.rows[table][id], rowVersion{w.xid, row})
	w.last[table] = id
}

// pick returns a living row, or "" when there is none: rather often the one that
// was written last, of which something may still wait.
func (w *world) pick(table string) string {
	ids := w.living(table)
	if len(ids) == 0 {
		return ""
	}
	if w.rng.IntN(4) == 0 && w.current(table, w.last[table]) != nil {
		return w.last[table]
	}
	return ids[w.rng.IntN(len(ids))]
}

// commit runs a transaction of n statements, or one that empties a table.
func (w *world) commit(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.xid++
	t := worldTxn{commit: w.end + 0x10, xid: w.xid, at: time.Now()}
	w.begin()
	// Rather early, while backfills run.
	if w.rng.IntN(40) == 0 || w.open && w.xid < w.slotXID+6 && w.rng.IntN(6) == 0 {
		w.reload(&t, []string{users, profiles, profiles, contacts, contacts, orders}[w.rng.IntN(6)])
	} else {
		for range n {
			w.statement(&t)
		}
	}
	w.settleEvents()
	w.end = t.commit + lsn.LSN(0x20+0x10*len(t.changes))
	t.end = w.end
	tx := &cdc.Transaction{Commit: t.commit, XID: t.xid, Time: t.at}
	for i := range t.changes {
		t.changes[i].Tx, t.changes[i].Ordinal = tx, uint64(i+1)
	}
	if w.open {
		w.txns = append(w.txns, t)
	}
	close(w.grown)
	w.grown = make(chan struct{})
}

// createSlot lets everything from now on be streamed.
func (w *world) createSlot() {
	w.open, w.slot, w.acked, w.slotXID = true, w.end, w.end, w.xid
	w.slotClock = w.clock
	w.seen = w.xid // every transaction older than the keeping of xids has ended: the first page has waited for that
}

// endOf is where the transaction ends in the WAL; 0: before the slot.
func (w *world) endOf(xid uint64) lsn.LSN {
	w.mu.Lock()
	defer w.mu.Unlock()
	at, found := slices.BinarySearchFunc(w.txns, xid, func(t worldTxn, xid uint64) int { return int(t.xid) - int(xid) })
	if !found {
		return 0
	}
	return w.txns[at].end
}

// streamed counts the changes of a table up to a position, and of a
// transaction behind it as many rows as the mark says.
func (w *world) streamed(table string, through lsn.LSN, open uint64) (n uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range w.txns {
		t := &w.txns[i]
		changes := t.changes
		if t.end > through {
			changes = changes[:open]
		}
		for j := range changes {
			if changes[j].Table == w.tables[table] {
				n++
			}
		}
		if t.end > through {
			break
		}
	}
	return n
}

// write inserts, updates or (nil) deletes a row.
func (w *world) write(t *worldTxn, table, id string, row []cdc.Column) {
	old := w.current(table, id)
	w.append(table, id, row)
	tab := w.tables[table]
	c := cdc.Change{Table: tab}
	switch {
	case old == nil:
		c.Kind, c.New = cdc.Insert, cdc.NewTuple(row...)
	case row == nil:
		c.Kind, c.KeyOnly, c.Old = cdc.Delete, true, keyOf(tab, id)
	default:
		c.Kind, c.New = cdc.Update, sent(tab, old, row)
	}
	t.changes = append(t.changes, c)
	w.wrote(table, id, old, row)
}

// rekey moves a row to another primary key.
func (w *world) rekey(t *worldTxn, table, id, to string) {
	old := w.current(table, id)
	row := slices.Clone(old)
	row[0] = text(to)
	w.append(table, id, nil)
	w.append(table, to, row)
	tab := w.tables[table]
	t.changes = append(t.changes, cdc.Change{Kind: cdc.Update, KeyOnly: true, Table: tab, Old: keyOf(tab, id), New: sent(tab, old, row)})
	w.rekeyed(table, id, to)
}

// truncate empties a table.
func (w *world) truncate(t *worldTxn, table string) {
	for _, id := range w.living(table) {
		w.append(table, id, nil)
	}
	t.changes = append(t.changes, cdc.Change{Kind: cdc.Truncate, Table: w.tables[table]})
}

func keyOf(t *cdc.Table, id string) cdc.Tuple {
	key := make([]cdc.Column, len(t.Columns))
	key[0] = text(id)
	return cdc.NewTuple(key...)
}

// sent is an updated row as the stream brings it: a large value that did not
// change is not sent.
func sent(t *cdc.Table, old, row []cdc.Column) cdc.Tuple {
	columns := slices.Clone(row)
	for i := range columns {
		if t.Columns[i].Name == "bio" && columns[i].State == cdc.Present && value(columns[i]) == value(old[i]) {
			columns[i] = cdc.Column{}
		}
	}
	return cdc.NewTuple(columns...)
}

// change updates one column of a row.
func (w *world) change(t *worldTxn, table, id string, column int, to cdc.Column) {
	row := slices.Clone(w.current(table, id))
	if row == nil {
		return
	}
	row[column] = to
	w.write(t, table, id, row)
}
