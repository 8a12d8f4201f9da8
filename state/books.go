package state

import "encoding/binary"

// Books is how the asks of one mapping ended, or where they stand. They
// balance at every commit: Received is the sum of all the others but Sent.
// docs/DESIGN.md says what each means. What is in flight counts as waiting here.
type Books struct {
	Received, Ignored, Filtered, Unchanged, Waiting, Orphaned, Held, Parked, Discarded, Delivered uint64
	Sent                                                                                          uint64 // operations accepted
}

func (b *Books) fields() []*uint64 {
	return []*uint64{&b.Received, &b.Ignored, &b.Filtered, &b.Unchanged, &b.Waiting, &b.Orphaned, &b.Held, &b.Parked, &b.Discarded, &b.Delivered, &b.Sent}
}

func (b *Books) append(dst []byte) []byte {
	for _, f := range b.fields() {
		dst = binary.AppendUvarint(dst, *f)
	}
	return dst
}

func (b *Books) decode(d *decoder) {
	for _, f := range b.fields() {
		*f = d.uint()
	}
}

// Balanced tells whether every change received stands under one outcome.
func (b *Books) Balanced() bool {
	return b.Received == b.Ignored+b.Filtered+b.Unchanged+b.Waiting+b.Orphaned+b.Held+b.Parked+b.Discarded+b.Delivered
}

// under is the count of the asks in steps of the given status.
func (b *Books) under(s status) *uint64 {
	switch s {
	case parked:
		return &b.Parked
	case orphaned:
		return &b.Orphaned
	default: // waiting, ownerless
		return &b.Waiting
	}
}
