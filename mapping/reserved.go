package mapping

import "strings"

// Attribute names that mean something to Customer.io. A column of such a name
// is mapped on purpose or not at all.

// reservedPerson are attributes of a person that nobody may set.
var reservedPerson = map[string]string{
	"cio_id":            "Customer.io assigns it; to address people by it write person = { cio_id = … }",
	"anonymous_id":      "Customer.io uses it to join anonymous activity to a person, and it cannot be reused",
	"cio_relationships": "it is how Customer.io's API writes relationships",
}

// eventOverrides are keys of an event's data that override how a campaign
// sends: mapped on purpose only, never part of "*".
var eventOverrides = []string{"recipient", "from_address", "reply_to"}

// recipientsChange tells whether recipients change the attribute of a person
// too, so that its mapping must say when to send it.
func recipientsChange(name string) bool {
	return name == "unsubscribed" || strings.HasPrefix(name, "cio_subscription_preferences")
}

// reserved says why an attribute of this name cannot be mapped; "" if it can.
func reserved(object, name string) string {
	switch {
	case object == "object" && name == "cio_object_id":
		return "Customer.io assigns it"
	case object == "device" && strings.HasPrefix(name, "_"):
		return "names that begin with _ are for Customer.io's own use"
	case object != "person":
		return ""
	}
	head, _, nested := strings.Cut(name, ".")
	if why, is := reservedPerson[head]; is {
		return why
	}
	if nested && (isIdentifier(head) || head == "unsubscribed") {
		return head + " is one value to Customer.io, and has no attributes below it"
	}
	if strings.HasPrefix(name, "_") {
		return "names that begin with _ are for Customer.io's own use"
	}
	return ""
}

// inStar tells whether "*" sends a column of this name.
func inStar(object, name string) bool {
	switch {
	case name == "" || len(name) > maxStarName || strings.Contains(name, "."):
		return false
	case strings.HasPrefix(name, "_"):
		return false
	case object == "event":
		for _, o := range eventOverrides {
			if name == o {
				return false
			}
		}
		return true
	}
	return reserved(object, name) == "" && !recipientsChange(name)
}

// maxStarName is Customer.io's limit on names; Postgres' own is lower.
const maxStarName = 150

// isIdentifier tells whether a person's attribute of this name is one of the
// identifiers, which Customer.io takes as strings only.
func isIdentifier(name string) bool { return name == "id" || name == "email" || name == "phone" }
