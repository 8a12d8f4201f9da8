package simulator

import "time"

// identify creates or updates a person.
type identify struct {
	address    address
	claims     []address // identifiers among the attributes; "" clears
	attributes []member
	timestamp  int64 // Unix seconds; 0: when it was received
	updateOnly bool
	v1         bool
	objects    []related // to relate the person to
	unrelate   bool      // or to take the relationships away
}

func (op *identify) action() string { return "identify" }

func (op *identify) joins() {}

func (op *identify) names(list []address) []address {
	list = op.own(list)
	for _, r := range op.objects {
		list = append(list, r.address)
	}
	return list
}

// own appends the names of the person alone.
func (op *identify) own(list []address) []address {
	list = append(list, op.address.key())
	for _, c := range op.claims {
		if c.value != "" {
			list = append(list, c.key())
		}
	}
	return list
}

// Reasons of failed attribute changes.
const (
	reasonTaken     = "identifier is already associated with a different profile"
	reasonFixed     = "identifier is already set and can only be changed by cio_id"
	reasonImmutable = "cio_id cannot be changed"
	reasonClear     = "identifier cannot be removed"
	reasonNoMatch   = "no profile matches an update-only request"
	reasonTotal     = "it holds 300 attributes already"
	reasonBytes     = "its attributes would take more than 100 KB"
)

// apply resolves whom the identify is about, then writes what it may.
//
// Customer.io docs: identifying people, and Track API, identify. (1) The
// address is known: that person. (2) It is not, but an identifier among the
// attributes is: that person, who gets the address too. (3) Both are known and
// differ: the person addressed, and the identifier fails. (4) Neither is: a
// new person.
func (op *identify) apply(w *workspace, a *accepted) {
	if w.isSuppressed(op.own(nil)) {
		w.drop(DropSuppressed)
		return
	}
	now := stamp{timestamp: op.timestamp, seq: a.seq}
	if now.timestamp == 0 {
		now.timestamp = a.received
	}
	p := w.find(op.address)
	if p == nil {
		if p = op.resolve(w, a, now); p == nil {
			return
		}
	}
	granted, conflict := op.judge(w, p, a)
	if conflict {
		w.drop(DropIdentifierConflict)
		if w.settings.Conflict == "request" {
			return
		}
	}
	p.ghost = false
	for _, c := range granted {
		if old := p.identifiers[c.kind]; old.seq == 0 || w.beats(now, stamp{timestamp: old.timestamp, seq: old.seq}) {
			w.name(p, c, now.timestamp, now.seq)
		}
	}
	// Whole attributes first: a path of the same request is about what they
	// leave.
	for _, paths := range []bool{false, true} {
		for _, m := range op.attributes {
			if isPath(m.key) == paths && !w.setAttribute(p, m.key, m.value, now) {
				w.drop(DropTotalAttributes)
				w.fail(p, a, m.key, stringify(compact(m.value)), reasonTotal)
			}
		}
	}
	for _, r := range op.objects {
		if op.unrelate {
			w.unrelate(p, w.objects[r.address])
		} else if o := w.objectFor(r.address, a); o != nil {
			w.relate(p, o, r.attributes, a)
		}
	}
}

// resolve finds or makes the person of an address that is not known.
func (op *identify) resolve(w *workspace, a *accepted, now stamp) *person {
	if op.address.kind == kindCioID {
		w.drop(DropUnknownCioID)
		return nil
	}
	for _, c := range op.claims {
		p := w.find(c)
		if c.value == "" || p == nil {
			continue
		}
		had := p.identifiers[op.address.kind].value
		switch {
		case had == "":
		case op.address.kind == kindID && c.kind != kindID && w.settings.NewIDForKnownEmail == "rekey":
			w.notice(NoticeRekeyed)
		case op.address.kind == kindEmail && c.kind == kindID && w.settings.EmailUpdatesByID:
		case w.settings.Conflict == "request":
			w.drop(DropIdentifierConflict)
			w.fail(p, a, op.address.kind.String(), op.address.value, reasonFixed)
			return nil
		default:
			continue // a new person, who will fail to get c
		}
		w.name(p, op.address, now.timestamp, now.seq)
		return p
	}
	if op.updateOnly {
		w.drop(DropUpdateOnlyMiss)
		if op.v1 {
			// Customer.io docs: Track API v1, _update. v2 speaks of no activity.
			w.failAt(op.address, a, op.address.kind.String(), op.address.value, reasonNoMatch)
		}
		return nil
	}
	return w.create(op.address, a, now.timestamp)
}

// judge tells which of the identifiers among the attributes the person may
// have, recording those it may not.
func (op *identify) judge(w *workspace, p *person, a *accepted) (granted []address, conflict bool) {
	refuse := func(c address, reason string) {
		conflict = true
		w.fail(p, a, c.kind.String(), c.value, reason)
	}
	for _, c := range op.claims {
		had := p.identifiers[c.kind].value
		mayChange := op.address.kind == kindCioID ||
			c.kind == kindEmail && op.address.kind == kindID && w.settings.EmailUpdatesByID
		switch owner := w.find(c); {
		case c.kind == kindCioID:
			if c.value != had {
				refuse(c, reasonImmutable)
			}
		case c.value == had, owner == p: // perhaps in other letters
			granted = append(granted, c)
		case c.value == "":
			switch {
			case !mayChange:
				refuse(c, reasonFixed)
			case w.settings.ClearIdentifier == "fail", p.only(c.kind):
				refuse(c, reasonClear)
			default:
				granted = append(granted, c)
			}
		case owner != nil:
			refuse(c, reasonTaken)
		case had == "" || mayChange:
			granted = append(granted, c)
		default:
			refuse(c, reasonFixed)
		}
	}
	return granted, conflict
}

// only reports whether the person has no other identifier to be known by.
func (p *person) only(k kind) bool {
	for other := range kindCioID {
		if other != k && p.identifiers[other].value != "" {
			return false
		}
	}
	return true
}

// FailedAttributeChange is what Customer.io logs of an identify that it took
// and could not apply whole; the App API shows it among the activities.
type FailedAttributeChange struct {
	CioID  string `json:"cio_id,omitempty"`
	Person string `json:"person,omitempty"` // such as "id:42", as it was then
	// Object is the object whose attribute failed, such as "1/acme"; with a
	// Person, it was one of their relationship.
	Object string    `json:"object,omitempty"`
	Field  string    `json:"field"`
	Value  string    `json:"value"`
	Reason string    `json:"reason"`
	At     time.Time `json:"at"`

	id, email string
}

func (w *workspace) fail(p *person, a *accepted, field, value, reason string) {
	w.failed = append(w.failed, FailedAttributeChange{
		CioID: p.cioID(), Person: p.label(), Field: field, Value: value, Reason: reason, At: a.due,
		id: p.identifiers[kindID].value, email: p.identifiers[kindEmail].value,
	})
}

func (w *workspace) failAt(whom address, a *accepted, field, value, reason string) {
	f := FailedAttributeChange{Person: whom.key().String(), Field: field, Value: value, Reason: reason, At: a.due}
	switch whom.kind {
	case kindID:
		f.id = whom.value
	case kindEmail:
		f.email = whom.value
	}
	w.failed = append(w.failed, f)
}
