package customerio

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Customer.io's limits, in bytes of the JSON sent unless said otherwise. Its
// pages say kB without saying of how many bytes; these are the smaller reading.
const (
	MaxRequest    = 500_000 // one /api/v2/batch body
	MaxItem       = 32_000  // one operation in it
	MaxIdentifier = 150     // a person's id or email
	MaxName       = 150     // an attribute's name
	MaxValue      = 1_000   // an attribute's value: a text as it is, anything else as serialised
	MaxAttributes = 300     // attributes of one identify, `_update` among them
	MaxEventName  = 100
)

// CheckIdentifier says why Customer.io would not take id, or "".
func CheckIdentifier(id Identifier) string {
	switch {
	case strings.TrimSpace(id.Value) == "":
		return "the identifier is empty"
	case len(id.Value) > MaxIdentifier:
		return fmt.Sprintf("the identifier is %d bytes long; Customer.io takes %d (identifier limit)", len(id.Value), MaxIdentifier)
	case !utf8.ValidString(id.Value):
		return "the identifier is not valid UTF-8"
	case strings.Contains(id.Value, nameSeparator):
		return "the identifier holds a NUL character"
	}
	return ""
}

// CheckAttribute says why Customer.io would not take an attribute of a person
// with this name and JSON value, or "".
func CheckAttribute(name string, value []byte) string {
	if reason := CheckAttributeName(name); reason != "" {
		return reason
	}
	if len(value) <= MaxValue {
		return ""
	}
	if n := valueSize(value); n > MaxValue {
		return fmt.Sprintf("the value is %d bytes long; Customer.io takes %d (attribute value limit)", n, MaxValue)
	}
	return ""
}

// valueSize is the size of a JSON value as Customer.io measures it: neither the
// quotes nor the escapes of a text are part of it.
func valueSize(value []byte) int {
	switch {
	case len(value) < 2 || value[0] != '"':
		return len(value)
	case bytes.IndexByte(value, '\\') < 0:
		return len(value) - len(`""`)
	}
	var text string
	if err := json.Unmarshal(value, &text); err != nil {
		return len(value)
	}
	return len(text)
}

// CheckAttributeName says why Customer.io would not take the name, or "".
func CheckAttributeName(name string) string {
	switch {
	case name == "":
		return "the attribute's name is empty"
	case len(name) > MaxName:
		return fmt.Sprintf("the attribute's name is %d bytes long; Customer.io takes %d (attribute name limit)", len(name), MaxName)
	case strings.Contains(name, nameSeparator):
		return "the attribute's name holds a NUL character"
	}
	return ""
}

// CheckEventName says why Customer.io would not take the event's name, or "".
func CheckEventName(name string) string {
	switch {
	case strings.TrimSpace(name) == "":
		return "the event's name is empty"
	case len(name) > MaxEventName:
		return fmt.Sprintf("the event's name is %d bytes long; Customer.io takes %d (event name limit)", len(name), MaxEventName)
	}
	return ""
}

// Check says which limit the whole operation breaks, or "". Attributes one by
// one are CheckAttribute's.
func (op *Operation) Check() string {
	if op.Kind != Object {
		if reason := CheckIdentifier(op.Person); reason != "" {
			return reason
		}
	}
	if op.Kind == Object || op.Kind == Relationship {
		if reason := CheckObject(op.ObjectType, op.ObjectID); reason != "" {
			return reason
		}
	}
	if op.Action == Track {
		if reason := CheckEventName(op.Name); reason != "" {
			return reason
		}
	} else if n := op.count(); n > MaxAttributes {
		return fmt.Sprintf("%d attributes; Customer.io takes %d in one request (attribute count limit)", n, MaxAttributes)
	}
	if n := op.Size(); n > MaxItem {
		return fmt.Sprintf("the operation is %d bytes long; Customer.io takes %d (item limit)", n, MaxItem)
	}
	return ""
}

// CheckObject says why Customer.io would not take what names an object, or "".
func CheckObject(objectType, id string) string {
	if n, err := strconv.ParseUint(objectType, 10, 31); err != nil || strconv.FormatUint(n, 10) != objectType {
		return fmt.Sprintf("the object type is %q; Customer.io numbers its object types", objectType)
	}
	if reason := CheckIdentifier(Identifier{Type: ObjectName, Value: id}); reason != "" {
		return "object " + strings.TrimPrefix(reason, "the ")
	}
	return ""
}

// Platforms are the platforms of devices that Customer.io knows.
var Platforms = []string{"ios", "android"}

// CheckPlatform says why Customer.io would not take a device's platform, or "".
func CheckPlatform(platform string) string {
	if !slices.Contains(Platforms, platform) {
		return fmt.Sprintf("the platform is %q; Customer.io knows %s", platform, strings.Join(Platforms, " and "))
	}
	return ""
}

// CheckToken says why Customer.io would not take a device's token, or "".
func CheckToken(token string) string {
	switch {
	case strings.TrimSpace(token) == "":
		return "the token is empty"
	case len(token) > maxToken:
		return fmt.Sprintf("the token is %d bytes long; pgcio sends at most %d", len(token), maxToken)
	case !utf8.ValidString(token):
		return "the token is not valid UTF-8"
	case strings.Contains(token, nameSeparator):
		return "the token holds a NUL character"
	}
	return ""
}

// maxToken bounds a device's token, of whose size Customer.io says nothing: a
// tenth of what one operation may be, and ten times what push services give out.
const maxToken = 3_000

// count is how many attributes an identify has as Customer.io counts them.
func (op *Operation) count() int {
	n := 0
	for i := range op.Attributes {
		if !IsField(op.Attributes[i].Name) {
			n++
		}
	}
	if op.UpdateOnly {
		n++
	}
	return n
}
