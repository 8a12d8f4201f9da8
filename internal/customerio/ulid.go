package customerio

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/oklog/ulid/v2"
)

// EventULID is the id of the event that the row with this event id is, through
// the mapping of this name: the same row is the same event for ever, even with
// the state lost (law 6). Customer.io uses only the id's equality, so the time
// part is constant and 80 bits of SHA-256 tell events apart.
//
// The length of the mapping's name comes first, so that no two pairs of a name
// and an id run together into the same bytes.
func EventULID(mapping, eventID string) string {
	sum := eventHash(mapping, eventID)
	var id ulid.ULID
	copy(id[6:], sum[:10])
	return id.String()
}

// EventKey is what the state keeps of an event id: 128 bits of the same hash.
func EventKey(mapping, eventID string) [16]byte {
	sum := eventHash(mapping, eventID)
	return [16]byte(sum[16:])
}

func eventHash(mapping, eventID string) [sha256.Size]byte {
	buf := make([]byte, 0, 128)
	buf = binary.AppendUvarint(buf, uint64(len(mapping)))
	buf = append(buf, mapping...)
	buf = append(buf, eventID...)
	return sha256.Sum256(buf)
}
