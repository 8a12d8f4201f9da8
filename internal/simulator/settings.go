package simulator

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// Settings say how one workspace behaves: its own switches at Customer.io, what
// no source settles, and how inconvenient to be. They can be changed while it
// runs. The zero value is not valid: start from [DefaultSettings].
type Settings struct {
	// Identifiers is what identifies people: "id", "email" or "id+email".
	// In an "id" workspace an e-mail address is an attribute like any other.
	Identifiers string `json:"identifiers"`
	// PhoneIdentifier lets a phone number identify people too.
	PhoneIdentifier bool `json:"phone_identifier"`
	// EmailUpdatesByID is the workspace setting "Allow updates to email using
	// ID". Off, an address once set changes only when addressed by cio_id.
	EmailUpdatesByID bool `json:"email_updates_by_id"`

	// NewIDForKnownEmail is what an unknown id does that brings the address of
	// a person who has another id: "rekey" gives that person the new id, "fail"
	// records a failed change. The sources say both.
	NewIDForKnownEmail string `json:"new_id_for_known_email"`
	// Conflict is what an identify loses when it writes an identifier it may
	// not have: "identifier" that one value, "request" everything. The sources
	// say both.
	Conflict string `json:"conflict"`
	// ClearIdentifier is what null for an e-mail address or phone number does
	// where that identifies people: "apply" or "fail". Not documented.
	ClearIdentifier string `json:"clear_identifier"`
	// UnknownPerson is what an event, a device or a relationship for somebody
	// unknown does: "create" an empty profile, marked a ghost, or "orphan": the
	// event is kept without a person, the others go. Not documented.
	UnknownPerson string `json:"unknown_person"`
	// ObjectTypes are the object types there are. A write that names another is
	// invalid: they are made on Customer.io's pages only.
	ObjectTypes []string `json:"object_types"`
	// UnknownObject is what a relationship with an object that is not there
	// does: "create" an empty one, marked a ghost, or "drop" the relationship.
	// Not documented.
	UnknownObject string `json:"unknown_object"`
	// UnknownMember is what adding somebody unknown to a segment does: "ignore"
	// them, or "create" an empty profile. The sources say both.
	UnknownMember string `json:"unknown_member"`
	// RemoveMemberWithoutID is what taking somebody out of a segment does who
	// has no id: "apply" or "ignore". The docs want an id and yet take
	// addresses.
	RemoveMemberWithoutID string `json:"remove_member_without_id"`
	// DuplicateNames is what a second segment or collection of one name meets:
	// "accept" or "reject". Not documented.
	DuplicateNames string `json:"duplicate_names"`
	// TokenElsewhere is what adding a device does with its token on others:
	// "keep" it there, or "take" it away. Not documented.
	TokenElsewhere string `json:"token_elsewhere"`
	// MergeIdentifiers is whether a merge gives the primary the identifiers it
	// lacks and the secondary had: "copy" or "drop". Not documented.
	MergeIdentifiers string `json:"merge_identifiers"`
	// MergeDependants is what becomes of the secondary's devices and
	// relationships in a merge: "drop", as they are not among what is
	// documented to be copied, or "move".
	MergeDependants string `json:"merge_dependants"`
	// CollectionContent is how the rows of a collection are read: as an "array",
	// which the official client expects, or as "lines" of JSON, of which the
	// docs would show the first.
	CollectionContent string `json:"collection_content"`
	// NonULID is what an event id that is no ULID does: "reject" the event, or
	// "accept" it without deduplication. The sources say both.
	NonULID string `json:"non_ulid"`
	// EmptyString is what "" does as a person's attribute: "delete" it, or
	// "keep" it. Documented for objects and relationships only, where it always
	// deletes.
	EmptyString string `json:"empty_string"`
	// Tie decides between two values of one attribute with the same timestamp:
	// the "later" applied wins, the "earlier", or a seeded coin: "random".
	// Not documented.
	Tie string `json:"tie"`

	// OverLimit is what an item of the Track API past a limit does: "reject"
	// answers it as invalid, "drop" answers as if it were accepted. The sources
	// say both.
	OverLimit string `json:"over_limit"`
	// BadRequest is what a body does that is malformed, no batch, or past the
	// size of a request: "reject" answers 400, "drop" 200.
	BadRequest string `json:"bad_request"`
	// MaxBatchItems refuses batches of more items; 0 is no limit, and none is
	// documented.
	MaxBatchItems int `json:"max_batch_items"`

	// ReplyDelay is how long a reply to a Track request, or to a write of the
	// App API, takes.
	ReplyDelay Duration `json:"reply_delay"`
	// Lag is the time from a reply to a Track request to its being applied.
	Lag Duration `json:"lag"`
	// LagJitter is added to Lag, seeded, from 0 up to this, per operation:
	// operations that share no person and no identifying value overtake.
	LagJitter Duration `json:"lag_jitter"`
	// ReorderRequests accepts a request at a seeded moment between its arrival
	// and its reply instead of on arrival, so that requests unanswered at the
	// same time may be applied in either order. It needs ReplyDelay.
	ReorderRequests bool `json:"reorder_requests"`
	// ReorderItems applies the items of one batch, or the ids of one segment
	// call, in a seeded order.
	ReorderItems bool `json:"reorder_items"`

	// TrackPerSecond is how many Track requests are let through in any second;
	// 0 is no limit. Customer.io docs name 1000, softly; 100 is also in use.
	TrackPerSecond int `json:"track_per_second"`
	// TrackOver is what a request past it meets: "429", or "drop" (200, nothing
	// applied). The docs announce either.
	TrackOver string `json:"track_over"`
	// TrackRetryAfter is the Retry-After of such a 429, in seconds; 0 sends none.
	TrackRetryAfter int `json:"track_retry_after"`
	// AppPerSecond is the same for the App API, always 429 with Retry-After: 1.
	AppPerSecond int `json:"app_per_second"`
}

// DefaultSettings is a workspace that identifies people by id and e-mail
// address, lets addresses change by id, applies at once and limits only the
// App API. Where the sources disagree it takes the answer that loses less
// silently.
func DefaultSettings() Settings {
	return Settings{
		Identifiers:        "id+email",
		EmailUpdatesByID:   true,
		NewIDForKnownEmail: "rekey",
		Conflict:           "identifier",
		ClearIdentifier:    "apply",
		UnknownPerson:      "create",

		ObjectTypes:           []string{"1", "2", "3"},
		UnknownObject:         "create",
		UnknownMember:         "ignore",
		RemoveMemberWithoutID: "apply",
		DuplicateNames:        "accept",
		TokenElsewhere:        "keep",
		MergeIdentifiers:      "copy",
		MergeDependants:       "drop",
		CollectionContent:     "array",

		NonULID:      "reject",
		EmptyString:  "delete",
		Tie:          "later",
		OverLimit:    "reject",
		BadRequest:   "reject",
		TrackOver:    "429",
		AppPerSecond: appPerSecond,
	}
}

// Validate reports the first setting that has no meaning.
func (s Settings) Validate() error {
	for _, c := range []struct {
		name, value string
		allowed     []string
	}{
		{"identifiers", s.Identifiers, []string{"id", "email", "id+email"}},
		{"new_id_for_known_email", s.NewIDForKnownEmail, []string{"rekey", "fail"}},
		{"conflict", s.Conflict, []string{"identifier", "request"}},
		{"clear_identifier", s.ClearIdentifier, []string{"apply", "fail"}},
		{"unknown_person", s.UnknownPerson, []string{"create", "orphan"}},
		{"unknown_object", s.UnknownObject, []string{"create", "drop"}},
		{"unknown_member", s.UnknownMember, []string{"ignore", "create"}},
		{"remove_member_without_id", s.RemoveMemberWithoutID, []string{"apply", "ignore"}},
		{"duplicate_names", s.DuplicateNames, []string{"accept", "reject"}},
		{"token_elsewhere", s.TokenElsewhere, []string{"keep", "take"}},
		{"merge_identifiers", s.MergeIdentifiers, []string{"copy", "drop"}},
		{"merge_dependants", s.MergeDependants, []string{"drop", "move"}},
		{"collection_content", s.CollectionContent, []string{"array", "lines"}},
		{"non_ulid", s.NonULID, []string{"reject", "accept"}},
		{"empty_string", s.EmptyString, []string{"delete", "keep"}},
		{"tie", s.Tie, []string{"later", "earlier", "random"}},
		{"over_limit", s.OverLimit, []string{"reject", "drop"}},
		{"bad_request", s.BadRequest, []string{"reject", "drop"}},
		{"track_over", s.TrackOver, []string{"429", "drop"}},
	} {
		if !slices.Contains(c.allowed, c.value) {
			return fmt.Errorf("setting %s: %q is none of %q", c.name, c.value, c.allowed)
		}
	}
	for _, id := range s.ObjectTypes {
		if n, err := strconv.ParseUint(id, 10, 31); err != nil || strconv.FormatUint(n, 10) != id {
			return fmt.Errorf("setting object_types: %q is no integer", id)
		}
	}
	for _, c := range []struct {
		name  string
		value int64
	}{
		{"max_batch_items", int64(s.MaxBatchItems)},
		{"reply_delay", int64(s.ReplyDelay)},
		{"lag", int64(s.Lag)},
		{"lag_jitter", int64(s.LagJitter)},
		{"track_per_second", int64(s.TrackPerSecond)},
		{"track_retry_after", int64(s.TrackRetryAfter)},
		{"app_per_second", int64(s.AppPerSecond)},
	} {
		if c.value < 0 {
			return fmt.Errorf("setting %s: must not be negative", c.name)
		}
	}
	return nil
}

// identifies reports whether a kind of identifier names people here. cio_id
// always does.
func (s *Settings) identifies(k kind) bool {
	switch k {
	case kindID:
		return s.Identifiers != "email"
	case kindEmail:
		return s.Identifiers != "id"
	case kindPhone:
		return s.PhoneIdentifier
	}
	return true
}

// Duration is a time.Duration that JSON writes as Go does: "200ms", "1m30s".
type Duration time.Duration

// MarshalJSON writes the duration as text.
func (d Duration) MarshalJSON() ([]byte, error) {
	return json.Marshal(time.Duration(d).String())
}

// UnmarshalJSON reads the text that MarshalJSON writes.
func (d *Duration) UnmarshalJSON(raw []byte) error {
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return fmt.Errorf("a duration is text such as \"200ms\": %w", err)
	}
	v, err := time.ParseDuration(text)
	if err != nil {
		return fmt.Errorf("reading a duration: %w", err)
	}
	*d = Duration(v)
	return nil
}
