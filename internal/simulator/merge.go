package simulator

import (
	"maps"
	"slices"
)

// merge is the operation of that name: the secondary goes, and leaves to the
// primary what the documentation lists.
type merge struct{ primary, secondary address }

// parseMerge reads it. Customer.io docs: Track API, merge: by id, email or
// cio_id, one on each side.
func parseMerge(it *item) (operation, *invalid) {
	it.only("primary", "secondary")
	op := &merge{}
	var inv *invalid
	if op.primary, inv = it.readPerson("primary", it.field("primary"), false); inv != nil {
		return nil, inv
	}
	op.secondary, inv = it.readPerson("secondary", it.field("secondary"), false)
	return op, inv
}

func (op *merge) action() string { return "merge" }
func (op *merge) joins()         {}
func (op *merge) names(list []address) []address {
	return append(list, op.primary.key(), op.secondary.key())
}

// apply merges. Customer.io docs: Track API, merge: nothing happens without the
// primary; copied are attributes unset or empty there, the last 30 days of
// events, and memberships of manual segments. Of devices and relationships it
// says nothing: Settings.MergeDependants.
func (op *merge) apply(w *workspace, a *accepted) {
	if w.isSuppressed(op.names(nil)) {
		w.drop(DropSuppressed)
		return
	}
	p, s := w.find(op.primary), w.find(op.secondary)
	switch {
	case p == nil:
		w.drop(DropMergeWithoutPrimary)
		return
	case s == nil:
		w.notice(NoticeMergeUnknown)
		return
	case p == s:
		w.notice(NoticeMergeSelf)
		return
	}
	memberships := slices.Collect(maps.Keys(s.segments))
	relationships := maps.Clone(s.relationships)
	w.remove(s)
	p.ghost = p.ghost && s.ghost

	if w.settings.MergeIdentifiers == "copy" {
		for _, k := range []kind{kindID, kindEmail, kindPhone} {
			if v := s.identifiers[k]; v.value != "" && p.identifiers[k].value == "" {
				w.name(p, address{k, v.value}, v.timestamp, v.seq)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.attributes)) {
		had, has := s.attributes[name], p.attributes[name]
		if had.value == "" || has != nil && has.value != "" && has.value != `""` {
			continue
		}
		if (has == nil || has.value == "") && p.attributes.held() >= maxAttributes {
			w.drop(DropTotalAttributes)
			w.fail(p, a, name, stringify(had.value), reasonTotal)
			continue
		}
		p.attributes[name] = had.copy()
	}
	for _, e := range w.events {
		if e.person == s && a.due.Unix()-e.timestamp <= mergedWindow {
			e.person, e.cioID = p, p.cioID()
		}
	}
	for _, segment := range memberships {
		segment.add(p)
	}
	if w.settings.MergeDependants == "move" {
		for token, d := range s.devices {
			if p.devices == nil {
				p.devices = make(map[string]*device)
			}
			if p.devices[token] == nil {
				p.devices[token] = d
			}
		}
		for o, r := range relationships {
			if p.relationships[o] == nil {
				o.add(p, r)
			}
		}
	}
}
