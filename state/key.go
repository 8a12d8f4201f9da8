package state

import (
	"encoding/binary"

	"github.com/pgcio/pgcio/internal/customerio"
)

// The kinds of record, by the first byte of their key. Numbers in keys are
// big-endian, so that keys sort as what they stand for; mapping and workspace
// are the numbers the state gave them (registry.go).
const (
	kindMeta     = 'm' // name                          → one value each: format, source, position, …
	kindMapping  = 'c' // mapping                       → name and counts of a mapping
	kindAttr     = 'd' // number                        → an attribute's name
	kindThing    = 't' // workspace kind idtype value   → thing: rows and steps (customerio.Operation.Thing)
	kindEvent    = 'e' // mapping event key             → event: known, and its step while it waits
	kindRow      = 'r' // mapping row key               → where the row's inventory is
	kindRowOf    = 'o' // thing 0 row's key             → nothing: a row of the thing with a record of its own
	kindName     = 'n' // workspace idtype value        → things that hold the identifier, or may
	kindQueue    = 'q' // workspace lane seq            → entry: a step that waits
	kindAside    = 's' // why mapping seq               → entry: a step that is set aside
	kindHanging  = 'a' // workspace idtype value 0 seq  → entry: an unsettled dependant so addressed
	kindOwnerOf  = 'w' // workspace idtype value 0 seq  → entry: a dependant that waits for its owner to be met
	kindDepends  = 'h' // workspace idtype value 0 thing → nothing: a thing that hangs on the owner so named
	kindFresh    = 'x' // mapping row key               → row inserted in the transaction that is half stored
	kindBackfill = 'b' // mapping                       → backfill
	kindHeld     = 'f' // mapping row key               → row that waits to be read again
	kindUnmapped = 'u' // mapping row key               → row that could not be mapped: parked
	kindLeft     = 'l' // mapping attribute             → what was left out of operations
	kindSweep    = 'k' // what                          → work in pieces
)

// lane is a queue of a workspace. Live goes first.
const (
	laneLive     = 0
	laneBackfill = 1
)

func metaKey(name string) []byte { return append([]byte{kindMeta}, name...) }

func number16(kind byte, n uint16) []byte {
	return binary.BigEndian.AppendUint16([]byte{kind}, n)
}

func thingKey(ws uint8, kind customerio.Kind, id customerio.Identifier) string {
	b := make([]byte, 0, 4+len(id.Value))
	b = append(b, kindThing, ws, byte(kind), byte(id.Type))
	b = append(b, id.Value...)
	return string(b)
}

// thingID reads the identifier back from a thing's key.
func thingID(key string) customerio.Identifier {
	return customerio.Identifier{Type: customerio.IdentifierType(key[3]), Value: key[4:]}
}

// kindOf reads the kind of a thing, or of an event, from its key.
func kindOf(key string) customerio.Kind {
	if key[0] == kindEvent {
		return customerio.Event
	}
	return customerio.Kind(key[2])
}

// nameKey is the key of an identifier's name record. Emails are compared
// without case (customerio.Fold).
func nameKey(ws uint8, name customerio.Identifier) string {
	b := make([]byte, 0, 3+len(name.Value))
	b = append(b, kindName, ws, byte(name.Type))
	b = append(b, name.Value...)
	return string(b)
}

func eventKey(mapping uint16, key [16]byte) string {
	b := make([]byte, 0, 19)
	b = binary.BigEndian.AppendUint16(append(b, kindEvent), mapping)
	return string(append(b, key[:]...))
}

func rowKey(kind byte, mapping uint16, row []byte) string {
	b := make([]byte, 0, 3+len(row))
	b = binary.BigEndian.AppendUint16(append(b, kind), mapping)
	return string(append(b, row...))
}

func queueKey(ws, lane uint8, seq uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{kindQueue, ws, lane}, seq)
}

func asideKey(why status, mapping uint16, seq uint64) []byte {
	b := binary.BigEndian.AppendUint16([]byte{kindAside, byte(why)}, mapping)
	return binary.BigEndian.AppendUint64(b, seq)
}

// ownedPrefix begins the keys of what is addressed by name. The zero byte ends
// the value; no text of Postgres has one.
func ownedPrefix(kind byte, ws uint8, name customerio.Identifier) []byte {
	b := append([]byte{kind, ws, byte(name.Type)}, name.Value...)
	return append(b, 0)
}

func ownedKey(kind byte, ws uint8, name customerio.Identifier, seq uint64) []byte {
	return binary.BigEndian.AppendUint64(ownedPrefix(kind, ws, name), seq)
}

// ownerKey is the key of the person, or the object, that an owner's name names.
func ownerKey(ws uint8, owner customerio.Identifier) string {
	if owner.Type == customerio.ObjectName {
		return thingKey(ws, customerio.Object, owner)
	}
	return thingKey(ws, customerio.Person, owner)
}

// seqOf reads the seq that ends a key.
func seqOf(key []byte) uint64 { return binary.BigEndian.Uint64(key[len(key)-8:]) }

// after is the first key past every key that starts with prefix.
func after(prefix []byte) []byte {
	end := append([]byte(nil), prefix...)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i]++; end[i] != 0 {
			return end[:i+1]
		}
	}
	return nil
}
