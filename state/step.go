package state

import (
	"encoding/binary"

	"github.com/pgcio/pgcio/internal/customerio"
	"github.com/pgcio/pgcio/internal/lsn"
)

// status is where a step stands. The numbers are stored.
type status uint8

const (
	waiting   status = 1
	parked    status = 2 // refused or invalid, with its reason
	orphaned  status = 3 // its owner is known not to be there
	ownerless status = 4 // its owner may yet be met by a running first backfill: counted waiting
	statuses  status = 5
)

// step is one operation that waits, or is set aside.
type step struct {
	seq   uint64
	since uint64 // the earliest seq it stands for: what came after that waits for it
	// joined is the newest seq when a change last joined it; its own before that.
	joined uint64
	lane   uint8
	status
	commit lsn.LSN // newest change in it: it may leave once the stored position is past
	born   lsn.LSN // oldest change in it
	time   int64   // commit time of its oldest change, Unix microseconds
	stored int64   // when it was first stored, Unix seconds
	stamp  int64   // its timestamp, Unix seconds; 0: none
	reason string
	bare   bool // set aside past the bound: what it carried is not kept

	updateOnly bool
	stops      []customerio.Identifier // identifiers the thing lets go of with it
	parts      []part

	// An event's name and ULID; an identify has none.
	name, id string
	// address is the person on whom it hangs (an event, a device, a relationship);
	// for the identify of a person the spelling of an email that the thing's key
	// has folded.
	address customerio.Identifier

	inFlight bool // not stored
}

// part is what one mapping put into a step.
type part struct {
	mapping uint16
	changes uint64
	attrs   []attr
}

type attr struct {
	name  uint32
	value []byte
}

// event is a known event id, and the step while it is unsettled.
type event struct {
	key   string
	row   uint64 // hash of the row that it came from
	step  *step
	dirty bool
	gone  bool // to be forgotten
}

func (s *step) changes() (n uint64) {
	for i := range s.parts {
		n += s.parts[i].changes
	}
	return n
}

func (e *event) room() int {
	if e.step == nil {
		return 32
	}
	return 32 + e.step.room()
}

func (s *step) room() int {
	n := 112 + len(s.reason) + len(s.name) + len(s.id) + len(s.address.Value)
	for _, id := range s.stops {
		n += 8 + len(id.Value)
	}
	for i := range s.parts {
		n += 24
		for _, a := range s.parts[i].attrs {
			n += 12 + len(a.value)
		}
	}
	return n
}

func appendStep(dst []byte, s *step) []byte {
	dst = append(dst, byte(s.status), s.lane, flag(s.updateOnly, 1)|flag(s.bare, 2))
	dst = binary.AppendUvarint(dst, s.seq)
	dst = binary.AppendUvarint(dst, s.seq-s.since)
	dst = binary.AppendUvarint(dst, s.joined-s.seq)
	dst = binary.AppendUvarint(dst, uint64(s.commit))
	dst = binary.AppendUvarint(dst, uint64(s.born))
	dst = binary.AppendVarint(dst, s.time)
	dst = binary.AppendVarint(dst, s.stored)
	dst = binary.AppendVarint(dst, s.stamp)
	dst = appendBytes(dst, s.reason)
	dst = appendIdentifiers(dst, s.stops)
	dst = binary.AppendUvarint(dst, uint64(len(s.parts)))
	for i := range s.parts {
		p := &s.parts[i]
		dst = binary.AppendUvarint(dst, uint64(p.mapping))
		dst = binary.AppendUvarint(dst, p.changes)
		dst = binary.AppendUvarint(dst, uint64(len(p.attrs)))
		for _, a := range p.attrs {
			dst = binary.AppendUvarint(dst, uint64(a.name))
			dst = appendBytes(dst, a.value)
		}
	}
	dst = appendBytes(dst, s.name)
	dst = appendBytes(dst, s.id)
	return appendIdentifier(dst, s.address)
}

func (d *decoder) step(s *step) {
	s.status = status(d.byte())
	s.lane = d.byte()
	f := d.byte()
	s.updateOnly, s.bare = f&1 != 0, f&2 != 0
	s.seq = d.uint()
	s.since = s.seq - d.uint()
	s.joined = s.seq + d.uint()
	s.commit = lsn.LSN(d.uint())
	s.born = lsn.LSN(d.uint())
	s.time = d.int()
	s.stored = d.int()
	s.stamp = d.int()
	s.reason = d.string()
	s.stops = d.identifiers()
	if n := d.count(3); n > 0 {
		s.parts = take(d.mem, n, func(m *scratch) *slab[part] { return &m.parts })
		for i := range s.parts {
			p := &s.parts[i]
			p.mapping = uint16(d.uint())
			p.changes = d.uint()
			if m := d.count(2); m > 0 {
				p.attrs = take(d.mem, m, func(m *scratch) *slab[attr] { return &m.attrs })
				for j := range p.attrs {
					p.attrs[j] = attr{uint32(d.uint()), d.bytes()}
				}
			}
		}
	}
	s.name = d.string()
	s.id = d.string()
	s.address = d.identifier()
}

func appendEvent(dst []byte, e *event) []byte {
	start := len(dst)
	dst = append(dst, recordVersion, flag(e.step != nil, 1))
	dst = binary.LittleEndian.AppendUint64(dst, e.row)
	if e.step != nil {
		dst = appendStep(dst, e.step)
	}
	return seal(dst, start, e.key)
}

func decodeEvent(key string, value []byte) (*event, error) {
	d := open(key, value)
	e := &event{key: key}
	has := d.byte()&1 != 0
	e.row = d.fixed64()
	if has {
		e.step = new(step)
		d.step(e.step)
	}
	return e, d.err
}

func (s *step) isEvent() bool { return s.id != "" }

// unsettled tells whether the step is still to be sent.
func (s *step) unsettled() bool { return s.status == waiting || s.status == ownerless }

// size is the payload's weight in the state, roughly.
func (s *step) size() int64 {
	n := 64 + len(s.name) + len(s.id) + len(s.address.Value)
	for i := range s.parts {
		for _, a := range s.parts[i].attrs {
			n += 6 + len(a.value)
		}
	}
	return int64(n)
}
