package state

import (
	"encoding/binary"
	"slices"
)

// tally counts what there is of what nobody wants to count by looking. It is
// stored with every commit that changes it.
type tally struct {
	outboxes []outbox          // by workspace number
	asides   [][statuses]int64 // entries set aside, by mapping number and status
	rereads  int64             // rows that wait to be read again
	unmapped int64             // rows that could not be mapped
	sweeps   int64             // sweep records
}

// outbox counts what a workspace's queues hold.
type outbox struct {
	entries   int64 // steps that wait or are in flight
	bytes     int64 // their payload, roughly
	ownerless int64 // events whose person may yet be met
}

var tallyKey = string(metaKey("tally"))

// grow makes room for the workspaces and mappings that the registry has.
func (t *tally) grow(g *registry) {
	for len(t.outboxes) < len(g.workspaces) {
		t.outboxes = append(t.outboxes, outbox{})
	}
	for len(t.asides) < len(g.mappings) {
		t.asides = append(t.asides, [statuses]int64{})
	}
}

func (t *tally) clone() tally {
	c := *t
	c.outboxes, c.asides = slices.Clone(t.outboxes), slices.Clone(t.asides)
	return c
}

func (t *tally) equal(u *tally) bool {
	return slices.Equal(t.outboxes, u.outboxes) && slices.Equal(t.asides, u.asides) &&
		t.rereads == u.rereads && t.unmapped == u.unmapped && t.sweeps == u.sweeps
}

func (t *tally) encode() []byte {
	v := []byte{recordVersion}
	for _, n := range []int64{t.rereads, t.unmapped, t.sweeps} {
		v = binary.AppendVarint(v, n)
	}
	v = binary.AppendUvarint(v, uint64(len(t.outboxes)))
	for _, b := range t.outboxes {
		v = binary.AppendVarint(v, b.entries)
		v = binary.AppendVarint(v, b.bytes)
		v = binary.AppendVarint(v, b.ownerless)
	}
	v = binary.AppendUvarint(v, uint64(len(t.asides)))
	for i := range t.asides {
		for _, n := range t.asides[i] {
			v = binary.AppendVarint(v, n)
		}
	}
	return seal(v, 0, tallyKey)
}

// load reads the tally of the last commit.
func (t *tally) load(r reader) error {
	v := r.get([]byte(tallyKey))
	if v == nil {
		return nil
	}
	d := open(tallyKey, v)
	t.rereads, t.unmapped, t.sweeps = d.int(), d.int(), d.int()
	t.outboxes = make([]outbox, d.count(3))
	for i := range t.outboxes {
		t.outboxes[i] = outbox{d.int(), d.int(), d.int()}
	}
	t.asides = make([][statuses]int64, d.count(int(statuses)))
	for i := range t.asides {
		for j := range t.asides[i] {
			t.asides[i][j] = d.int()
		}
	}
	return d.err
}

// waitingRows tells whether rows wait to be read again or are parked unmapped,
// so that nobody looks for one when there are none.
func (t *tally) waitingRows() bool { return t.rereads > 0 || t.unmapped > 0 }

func (t *tally) weight() (n int64) {
	for i := range t.outboxes {
		n += t.outboxes[i].bytes
	}
	return n
}
