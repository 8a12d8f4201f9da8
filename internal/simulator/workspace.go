package simulator

import (
	"math/rand/v2"
	"sync"
	"time"
)

// Workspace is one Customer.io workspace as its owner sees it: what it is
// called and what opens it.
type Workspace struct {
	// Name is how tests and the inspection surface speak of it; Customer.io
	// knows no such name.
	Name string `json:"name"`
	// SiteID and TrackKey are user and password of the Track API.
	SiteID   string `json:"site_id"`
	TrackKey string `json:"track_api_key"`
	// AppKey is the App API's bearer token.
	AppKey string `json:"app_api_key"`
	// EnvironmentID is the number the region endpoint tells.
	EnvironmentID int64 `json:"environment_id"`
	// Region is "us" (when empty) or "eu".
	Region string `json:"region"`
	// Settings is how it behaves; nil means DefaultSettings.
	Settings *Settings `json:"settings,omitempty"`
}

// DefaultWorkspace is the only workspace of a simulator that was given none.
func DefaultWorkspace() Workspace {
	return Workspace{
		Name: "main", SiteID: "site-id", TrackKey: "track-api-key", AppKey: "app-api-key",
		EnvironmentID: 1, Region: "us",
	}
}

// workspace is what a Workspace holds. Everything below mu is guarded by it.
type workspace struct {
	Workspace

	mu       sync.Mutex
	settings Settings
	rng      *rand.Rand
	seed     uint64

	queue queue
	store
	trackRate, appRate window
	counters           Counters
	acceptances        ring[Acceptance]
}

// store is what Customer.io has applied, and what it has to say about it.
type store struct {
	people      map[address]*person
	objects     map[address]*object
	segments    map[int64]*segment
	collections map[int64]*collection
	events      []*event
	eventIDs    map[string]*event
	suppression map[address]*suppression
	failed      []FailedAttributeChange
	drops       map[Drop]int64
	notices     map[Notice]int64

	// Given out so far.
	cioIDs, cioObjectIDs, segmentIDs, collectionIDs int64
}

func newStore() store {
	return store{
		people:      make(map[address]*person),
		objects:     make(map[address]*object),
		segments:    make(map[int64]*segment),
		collections: make(map[int64]*collection),
		eventIDs:    make(map[string]*event),
		suppression: make(map[address]*suppression),
		drops:       make(map[Drop]int64),
		notices:     make(map[Notice]int64),
	}
}

func newWorkspace(c Workspace, seed uint64, logSize int) *workspace {
	w := &workspace{Workspace: c, settings: *c.Settings, seed: seed}
	w.acceptances.limit = logSize
	w.reset()
	return w
}

// reset forgets what was written and starts the random choices anew.
func (w *workspace) reset() {
	w.rng = rand.New(rand.NewPCG(w.seed, 2))
	w.queue = queue{}
	w.store = newStore()
	w.trackRate, w.appRate = window{}, window{}
	w.counters = Counters{}
	w.acceptances.clear()
}

// look runs f on what is applied at now.
func (w *workspace) look(now time.Time, f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.apply(now)
	f()
}

func (w *workspace) drop(d Drop)     { w.drops[d]++ }
func (w *workspace) notice(n Notice) { w.notices[n]++ }

// Drop is a class of writes that were answered with success and then did not
// happen, or not whole.
type Drop string

// The classes of silent drops.
const (
	DropSuppressed          Drop = "suppressed person"
	DropUnknownCioID        Drop = "unknown cio_id"
	DropUpdateOnlyMiss      Drop = "_update without a match"
	DropIdentifierConflict  Drop = "identifier conflict"
	DropStaleAttribute      Drop = "attribute older than the stored one"
	DropTie                 Drop = "attribute lost a tie"
	DropTotalAttributes     Drop = "attribute there is no room for"
	DropDuplicateEvent      Drop = "event id seen before"
	DropUnknownPerson       Drop = "nobody to put the device on"
	DropUnknownRelated      Drop = "nobody to relate to the object"
	DropUnknownObject       Drop = "no object to relate to"
	DropUnknownCioObject    Drop = "unknown cio_object_id"
	DropUnknownMember       Drop = "nobody to put into or out of the segment"
	DropMemberWithoutID     Drop = "member without an id not taken out"
	DropUnknownSegment      Drop = "segment deleted meanwhile"
	DropMergeWithoutPrimary Drop = "merge without its primary"
	DropOverLimit           Drop = "past a limit"
	DropOverRate            Drop = "past the rate"
	DropBadRequest          Drop = "bad request"
)

// Notice is something that Customer.io takes as it is and a sender should not
// have sent, or might want to know.
type Notice string

// The classes of notices.
const (
	NoticeGhost               Notice = "person created by something other than identify"
	NoticeOrphanEvent         Notice = "event without a person"
	NoticeEventIDReused       Notice = "event id seen before with other content"
	NoticeNonULID             Notice = "event id is no ULID"
	NoticeReservedKey         Notice = "event data key that overrides the campaign"
	NoticeUnderscore          Notice = "attribute name begins with an underscore"
	NoticeOddPath             Notice = "dotted attribute name that is no path"
	NoticeEmptyString         Notice = "empty string as an attribute"
	NoticeMilliseconds        Notice = "timestamp in milliseconds"
	NoticeFuture              Notice = "timestamp in the future"
	NoticeOldEvent            Notice = "event older than 72 h"
	NoticeNoTimestamp         Notice = "event without a timestamp"
	NoticeUnknownField        Notice = "field that the operation does not have"
	NoticeEmptyBatch          Notice = "batch without items"
	NoticeRekeyed             Notice = "person got a new id by e-mail address"
	NoticeDeleteUnknown       Notice = "delete of an unknown person"
	NoticeDeviceUnknown       Notice = "delete of an unknown device"
	NoticeGhostObject         Notice = "object created by a relationship"
	NoticeDeleteUnknownObject Notice = "delete of an unknown object"
	NoticeRelationshipUnknown Notice = "delete of an unknown relationship"
	NoticeEmptyRelationships  Notice = "empty list of relationships"
	NoticeReservedName        Notice = "reserved attribute name of an object"
	NoticeNotAMember          Notice = "removal of somebody who is not in the segment"
	NoticeMergeUnknown        Notice = "merge of an unknown secondary"
	NoticeCollectionRenamed   Notice = "collection renamed: messages that name it find nothing"
	NoticeMergeSelf           Notice = "merge of a person into themselves"
	NoticeNotSuppressed       Notice = "unsuppress of somebody not suppressed"
	NoticeReadOnly            Notice = "read-only device attribute"
	NoticeNotSimulatedYet     Notice = "not simulated yet"
)
