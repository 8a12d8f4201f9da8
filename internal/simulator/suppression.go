package simulator

// suppression is one person who must not come back: every identifier the
// profile had when it was deleted, and the one it was suppressed by.
type suppression struct{ addresses []address }

// isSuppressed reports whether any of the names is blocked. A write that names
// a suppressed identifier anywhere is ignored whole.
// Customer.io docs: suppress a customer profile.
func (w *workspace) isSuppressed(names []address) bool {
	if len(w.suppression) == 0 {
		return false
	}
	for _, a := range names {
		if w.suppression[a.key()] != nil {
			return true
		}
	}
	return false
}

// suppress is the operation of that name: it deletes the profile for good and
// blocks its identifiers, known or not.
type suppress struct{ address address }

func parseSuppress(it *item) (operation, *invalid) {
	it.only()
	return &suppress{it.address}, nil
}

func (op *suppress) action() string                 { return "suppress" }
func (op *suppress) names(list []address) []address { return append(list, op.address.key()) }

func (op *suppress) apply(w *workspace, _ *accepted) {
	p := w.find(op.address)
	if p == nil && op.address.kind == kindCioID {
		w.drop(DropUnknownCioID)
		return
	}
	if w.suppression[op.address.key()] != nil {
		return
	}
	s := &suppression{addresses: []address{op.address.key()}}
	if p != nil {
		s.addresses = p.names(nil)
		w.remove(p)
	}
	for _, a := range s.addresses {
		w.suppression[a] = s
	}
}

// unsuppress frees the identifiers of a suppressed person; it brings nothing
// back. Customer.io docs: unsuppress a customer profile.
type unsuppress struct{ address address }

func parseUnsuppress(it *item) (operation, *invalid) {
	it.only()
	return &unsuppress{it.address}, nil
}

func (op *unsuppress) action() string                 { return "unsuppress" }
func (op *unsuppress) names(list []address) []address { return append(list, op.address.key()) }

func (op *unsuppress) apply(w *workspace, _ *accepted) {
	s := w.suppression[op.address.key()]
	if s == nil {
		w.notice(NoticeNotSuppressed)
		return
	}
	for _, a := range s.addresses {
		if w.suppression[a] == s {
			delete(w.suppression, a)
		}
	}
}
