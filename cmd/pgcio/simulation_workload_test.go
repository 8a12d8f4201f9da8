package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pgcio/pgcio/cdc"
)

// workload is what the statements of a world remember, and what they promise
// that Customer.io will hold.
type workload struct {
	fixed     bool  // addresses stay with their users
	kinds     []int // of statement to choose from
	clock     int   // statements so far
	slotClock int   // when the slot was created
	given     map[string]int
	emails    int
	loose     []string           // addresses their holders have given up
	birth     map[string]int     // user → when it was inserted by the stream, being in
	named     map[string]int     // user → when it took the address it has
	unclear   map[string]bool    // users and addresses of which it is not known who has what when
	events    map[string]eventOf // ref → the event of a streamed order
	doubled   map[string]bool    // refs that a second order has claimed
	visited   map[string]string  // visit → the user who had the address
	fresh     map[string]bool    // orders inserted by the stream
	came      map[string]bool    // those of the transaction in hand
	freed     []string           // refs they have given up
}

// eventOf is an event as the transaction that inserted its row left it.
type eventOf struct {
	user, total, placed string
}

// statementKinds is how many kinds of statement there are.
const statementKinds = 37

// kindsOf gives half of the seeds every kind of statement, and the others each kind
// never, now and then, or often: what happens rarely where everything may happen
// happens often in some.
func kindsOf(rng *rand.Rand) (kinds []int) {
	all := rng.IntN(2) == 0
	for kind := range statementKinds {
		times := 1
		if !all {
			times = []int{0, 1, 1, 4}[rng.IntN(4)]
		}
		if kind == 0 {
			times = max(times, 1) // users, on whom everything hangs
		}
		kinds = append(kinds, slices.Repeat([]int{kind}, times)...)
	}
	return kinds
}

func newWorkload(rng *rand.Rand) workload {
	return workload{
		kinds: kindsOf(rng),
		given: map[string]int{}, birth: map[string]int{}, named: map[string]int{}, unclear: map[string]bool{},
		events: map[string]eventOf{}, doubled: map[string]bool{}, visited: map[string]string{}, fresh: map[string]bool{},
	}
}

func (w *world) nextID(table string) string {
	w.given[table]++
	return strconv.Itoa(w.given[table])
}

func (w *world) newEmail() string {
	w.emails++
	return fmt.Sprintf("u%d@x.test", w.emails)
}

// mark ends a value in the xid of the transaction in hand.
func (w *world) mark(s string) cdc.Column { return text(s + "@" + strconv.FormatUint(w.xid, 10)) }

func (w *world) newBio() cdc.Column {
	switch w.rng.IntN(12) {
	case 0, 1, 2:
		return cdc.Column{State: cdc.Null}
	case 3:
		return w.mark(strings.Repeat("long ", 210)) // past what Customer.io takes of a value
	default:
		return w.mark("bio " + strconv.Itoa(w.rng.IntN(1000)))
	}
}

func out(user []cdc.Column) bool { return user == nil || value(user[userDeleted]) == "t" }

// statement is one statement of the workload.
func (w *world) statement(t *worldTxn) {
	kind := w.kinds[w.rng.IntN(len(w.kinds))]
	if w.open && w.xid < w.slotXID+8 && w.rng.IntN(3) == 0 {
		kind = 25 // orders of people whom a backfill is still to meet
	}
	switch kind {
	case 0, 1, 2:
		id := w.nextID(users)
		deleted := text("f")
		if w.rng.IntN(6) == 0 {
			deleted = text("t")
		}
		w.write(t, users, id, []cdc.Column{text(id), text(w.newEmail()), w.mark("free"), w.newBio(), deleted})
	case 3, 4, 5, 6:
		w.change(t, users, w.pick(users), userPlan, w.mark("pro"))
	case 7:
		w.change(t, users, w.pick(users), userBio, w.newBio())
	case 8: // a change of nothing
		if id := w.pick(users); id != "" {
			w.write(t, users, id, slices.Clone(w.current(users, id)))
		}
	case 9, 10:
		// Another address; the old one may go to somebody else, later. A row that
		// is not in keeps it at Customer.io until it comes back.
		id := w.pick(users)
		if row := w.current(users, id); row != nil && !w.fixed {
			w.loose = append(w.loose, value(row[userEmail]))
			w.change(t, users, id, userEmail, text(w.newEmail()))
		}
	case 11, 12: // an address that somebody gave up
		if id := w.pick(users); id != "" && len(w.loose) > 0 {
			email := w.loose[0]
			w.loose = w.loose[1:]
			w.change(t, users, id, userEmail, text(email))
		}
	case 13:
		w.change(t, users, w.pick(users), userDeleted, text("t"))
	case 14, 15:
		w.change(t, users, w.pick(users), userDeleted, text("f"))
	case 16:
		w.leaveOrRekey(t)
	case 17:
		w.insertProfile(t)
	case 18, 19:
		w.change(t, profiles, w.pick(profiles), profileTier, w.mark("gold"))
	case 20:
		if id := w.pick(profiles); id != "" && w.rng.IntN(3) == 0 {
			w.write(t, profiles, id, nil)
		}
	case 21:
		w.insertContact(t)
	case 22, 23:
		w.changeContact(t)
	case 24:
		w.visit(t)
	case 25, 26, 27:
		w.insertOrder(t)
	case 28, 29:
		w.changeOrder(t)
	case 30:
		if user := w.pick(users); user != "" {
			id := w.nextID(phones)
			w.write(t, phones, id, []cdc.Column{text(id), text(user), text("t" + id), w.mark("1")})
		}
	case 31, 32:
		w.changeThing(t, phones, phoneBuild)
	case 33:
		id := w.nextID(accounts)
		w.write(t, accounts, id, []cdc.Column{text(id), w.mark("acme")})
	case 34:
		w.insertSeat(t)
	case 35, 36:
		w.changeThing(t, []string{accounts, seats}[w.rng.IntN(2)], 0)
	}
}

// insertSeat relates a user and an account, which may not be there yet.
func (w *world) insertSeat(t *worldTxn) {
	user, account := w.pick(users), strconv.Itoa(1+w.rng.IntN(w.given[accounts]+2))
	if user == "" || slices.ContainsFunc(w.living(seats), func(id string) bool {
		row := w.current(seats, id)
		return value(row[whom]) == user && value(row[seatAccount]) == account
	}) {
		return
	}
	id := w.nextID(seats)
	w.write(t, seats, id, []cdc.Column{text(id), text(user), text(account), w.mark("member")})
}

// changeThing changes a row of phones, accounts or seats: a value of it, now and
// then whose a phone is; or it deletes the row.
func (w *world) changeThing(t *worldTxn, table string, column int) {
	id := w.pick(table)
	if id == "" {
		return
	}
	switch table {
	case accounts:
		column = accountName
	case seats:
		column = seatRole
	}
	switch w.rng.IntN(8) {
	case 0:
		w.write(t, table, id, nil)
	case 1, 2:
		if user := w.pick(users); table == phones && user != "" {
			w.change(t, phones, id, whom, text(user))
			return
		}
		fallthrough
	default:
		w.change(t, table, id, column, w.mark("v"))
	}
}

func (w *world) leaveOrRekey(t *worldTxn) {
	id := w.pick(users)
	if id == "" {
		return
	}
	if w.rng.IntN(2) == 0 {
		w.write(t, users, id, nil)
		return
	}
	to := w.nextID(users)
	w.rekey(t, users, id, to)
	// The person of the old id keeps the address, so the row takes another.
	w.change(t, users, to, userEmail, text(w.newEmail()))
}

// reload empties a table, and fills it anew where it can.
func (w *world) reload(t *worldTxn, table string) {
	var rows [][]cdc.Column
	for _, id := range w.living(table) {
		rows = append(rows, w.current(table, id))
	}
	w.truncate(t, table)
	if table != profiles && table != contacts || w.rng.IntN(2) == 0 {
		return
	}
	for _, row := range rows {
		id := w.nextID(table)
		row = slices.Clone(row)
		row[0], row[2] = text(id), w.mark("new")
		w.write(t, table, id, row)
	}
}

func (w *world) insertProfile(t *worldTxn) {
	user := w.pick(users)
	if user == "" || slices.ContainsFunc(w.living(profiles), func(id string) bool { return value(w.current(profiles, id)[whom]) == user }) {
		return
	}
	id := w.nextID(profiles)
	w.write(t, profiles, id, []cdc.Column{text(id), text(user), w.mark("silver")})
}

// address is one that a user has, and no contact.
func (w *world) address() string {
	user := w.pick(users)
	if user == "" {
		return ""
	}
	email := value(w.current(users, user)[userEmail])
	if slices.ContainsFunc(w.living(contacts), func(id string) bool { return value(w.current(contacts, id)[whom]) == email }) {
		return ""
	}
	return email
}

// tooLong is an address that Customer.io does not take.
var tooLong = strings.Repeat("long", 40) + "@x.test"

func (w *world) insertContact(t *worldTxn) {
	email := w.address()
	if w.rng.IntN(6) == 0 {
		email = tooLong
	}
	if email != "" {
		id := w.nextID(contacts)
		w.write(t, contacts, id, []cdc.Column{text(id), text(email), w.mark("s")})
	}
}

func (w *world) changeContact(t *worldTxn) {
	id := w.pick(contacts)
	if id == "" {
		return
	}
	switch w.rng.IntN(8) {
	case 0:
		if email := w.address(); email != "" {
			w.change(t, contacts, id, whom, text(email))
		}
	case 1:
		w.write(t, contacts, id, nil)
	default:
		w.change(t, contacts, id, contactScore, w.mark("s"))
	}
}

func (w *world) visit(t *worldTxn) {
	user := w.pick(users)
	if user == "" || !w.open {
		return
	}
	email := value(w.current(users, user)[userEmail])
	id := w.nextID(visits)
	w.visited[id] = user
	w.write(t, visits, id, []cdc.Column{text(id), text(email)})
}

func (w *world) insertOrder(t *worldTxn) {
	user := w.pick(users)
	if user == "" {
		return
	}
	id := w.nextID(orders)
	ref := "r" + id
	switch {
	case len(w.freed) > 0 && w.rng.IntN(2) == 0:
		ref = w.freed[0]
		w.freed = w.freed[1:]
	case w.rng.IntN(15) == 0 && len(w.events) > 0:
		// A reference that is taken: two rows, one event id.
		refs := make([]string, 0, len(w.events))
		for r := range w.events {
			refs = append(refs, r)
		}
		slices.Sort(refs)
		ref = refs[w.rng.IntN(len(refs))]
		w.doubled[ref] = true
	}
	status := "paid"
	if w.rng.IntN(3) == 0 {
		status = "draft"
	}
	placed := strconv.FormatInt(time.Now().Unix()-w.rng.Int64N(1000), 10)
	w.came[id], w.fresh[id] = true, w.open
	w.write(t, orders, id, []cdc.Column{text(id), text(user), w.mark(id + "." + strconv.Itoa(w.clock)), text(status), text(ref), text(placed)})
}

// changeOrder changes an order: rather one of the transaction in hand, whose
// event it amends or withdraws.
func (w *world) changeOrder(t *worldTxn) {
	id := w.pick(orders)
	if id == "" {
		return
	}
	if ids := w.living(orders); w.rng.IntN(2) == 0 && len(w.came) > 0 {
		id = ids[len(ids)-1]
	}
	ref := value(w.current(orders, id)[orderRef])
	switch w.rng.IntN(8) {
	case 0:
		w.write(t, orders, id, nil)
		w.free(id, ref)
	case 1:
		w.change(t, orders, id, orderRef, text("x"+id+"."+strconv.Itoa(w.clock)))
		w.free(id, ref)
	case 2:
		if user := w.pick(users); user != "" {
			w.change(t, orders, id, whom, text(user))
		}
	case 3:
		to := w.nextID(orders)
		w.came[to], w.fresh[to] = w.came[id], w.fresh[id]
		if !w.fresh[id] {
			w.doubled[ref] = true // a backfill may meet it under both keys
		}
		w.rekey(t, orders, id, to)
	case 4, 5:
		w.change(t, orders, id, orderTotal, w.mark(id+"."+strconv.Itoa(w.clock)))
	default:
		w.change(t, orders, id, orderStatus, text([]string{"paid", "draft"}[w.rng.IntN(2)]))
	}
}

// free enters that an order of this transaction is not of that reference any
// more: another may take it.
func (w *world) free(id, ref string) {
	if _, taken := w.events[ref]; w.came[id] && !taken {
		w.freed = append(w.freed, ref)
	}
}

func (w *world) begin() { w.came, w.freed = map[string]bool{}, nil }

// wrote keeps track of who is known to have which address when.
func (w *world) wrote(table, id string, old, row []cdc.Column) {
	w.clock++
	switch {
	case table != users:
	case old == nil:
		w.named[id] = w.clock
		if w.open && !out(row) {
			w.birth[id] = w.clock
		}
	case row == nil || value(old[userDeleted]) != value(row[userDeleted]):
		// What such a row says next may have to be read first.
		w.unclear[id] = true
	case value(old[userEmail]) != value(row[userEmail]):
		w.unclear[id] = w.unclear[id] || w.birth[id] == 0
		w.named[id] = w.clock
	}
}

func (w *world) rekeyed(table, id, to string) {
	w.clock++
	if table == users {
		w.unclear[id], w.unclear[to] = true, true
	}
}

// clear tells whether the user is known to have had its addresses at
// Customer.io whenever its row had them, once all is sent in order.
func (w *world) clear(user string) bool { return w.birth[user] != 0 && !w.unclear[user] }

// spread makes unclear, when all is over, whoever shares an address with
// somebody unclear: one may wait for the other, for good.
func (w *world) spread() {
	for again := true; again; {
		again = false
		for _, id := range w.ids[users] {
			for _, v := range w.rows[users][id] {
				if v.columns == nil {
					continue
				}
				if email := value(v.columns[userEmail]); w.unclear[id] != w.unclear[email] {
					w.unclear[id], w.unclear[email], again = true, true, true
				}
			}
		}
	}
}

// there tells whether a user has been one, for the stream or a backfill, since
// before anything was about it.
func (w *world) there(user string) bool {
	if w.birth[user] != 0 {
		return w.clear(user)
	}
	return w.met[user] && w.named[user] <= w.slotClock
}

// settleEvents enters what the orders that came with the transaction are, as
// it leaves them.
func (w *world) settleEvents() {
	for _, id := range w.living(orders) {
		row := w.current(orders, id)
		ref := value(row[orderRef])
		if !w.open || !w.came[id] || value(row[orderStatus]) == "draft" {
			continue
		}
		if _, taken := w.events[ref]; taken {
			continue
		}
		user := value(row[whom])
		w.events[ref] = eventOf{user: user, total: value(row[orderTotal]), placed: value(row[orderPlacedAt])}
	}
}
