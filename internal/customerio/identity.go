package customerio

import (
	"encoding/json"
	"strings"
)

// Phone is an identifier where a workspace enables it. It is stored: its
// number never changes.
const Phone IdentifierType = 4

// Fold gives the form in which two identifiers are compared: emails without
// regard to case and surrounding space, everything else as it is.
func Fold(id Identifier) Identifier {
	if id.Type == Email {
		id.Value = strings.ToLower(strings.TrimSpace(id.Value))
	}
	return id
}

// Identifying tells whether an attribute of this name identifies a person at
// Customer.io: no two people can have the same value.
func Identifying(attribute string) (IdentifierType, bool) {
	switch attribute {
	case "id":
		return ID, true
	case "email":
		return Email, true
	case "phone":
		return Phone, true
	case "cio_id":
		return CioID, true
	}
	return 0, false
}

// IdentifierOf reads an identifying attribute's JSON value, folded; false for
// null and the empty string, which remove it, and for an address of space alone.
func IdentifierOf(t IdentifierType, value []byte) (Identifier, bool) {
	text := string(value)
	if strings.HasPrefix(text, `"`) {
		if err := json.Unmarshal(value, &text); err != nil {
			return Identifier{}, false
		}
	} else if text == "null" {
		return Identifier{}, false
	}
	id := Fold(Identifier{Type: t, Value: text})
	return id, id.Value != ""
}
