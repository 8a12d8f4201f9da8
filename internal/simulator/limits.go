package simulator

// Limits, in bytes of the UTF-8 JSON that was sent unless said otherwise.
// Customer.io writes "kb" without saying which; 1000 is the smaller reading
// and so the one a client must fit.
const (
	// maxItemBytes bounds a /api/v2/entity body and each item of a batch.
	// Customer.io docs: Track API v2, "32kb" per operation.
	maxItemBytes = 32_000
	// maxBatchBytes bounds a /api/v2/batch body.
	// Customer.io docs: Track API v2, "500kb" per batch.
	maxBatchBytes = 500_000
	// maxEventDataBytes bounds the data of a v1 event, which has no 32 kb
	// ceiling above it. Customer.io docs: invalid API requests.
	maxEventDataBytes = 100_000
	// maxIDBytes bounds the id of a person or object.
	// Customer.io docs: invalid API requests; objects.
	maxIDBytes = 150
	// maxNameBytes bounds the name of an attribute, path and dots included.
	// Customer.io docs: invalid API requests.
	maxNameBytes = 150
	// maxValueBytes bounds the value of an attribute: the text itself for a
	// string, the serialised JSON for anything else. Whether a nested value is
	// measured whole or leaf by leaf is not documented; whole is stricter.
	// Customer.io docs: invalid API requests.
	maxValueBytes = 1000
	// maxAttributes bounds the attributes of one identify, and those a person,
	// object or relationship holds in total.
	// Customer.io docs: invalid API requests; objects.
	maxAttributes = 300
	// maxObjectBytes bounds all attributes of one object or relationship,
	// names and values. Customer.io docs: objects, "100 KB".
	maxObjectBytes = 100_000
	// maxEventNameBytes bounds the name of an event after trimming.
	// Customer.io docs: invalid API requests.
	maxEventNameBytes = 100

	// maxSegmentIDs bounds the ids of one call that changes a manual segment.
	// Customer.io docs: Track API v1, segments.
	maxSegmentIDs = 1000
	// maxMembershipPage bounds a page of a segment's members.
	// Customer.io docs: App API, segments.
	maxMembershipPage = 30_000

	// maxCollectionBytes, maxRowBytes and maxCollections bound one collection,
	// one of its rows, and how many a workspace has.
	// Customer.io docs: App API, collections; collections.
	maxCollectionBytes = 10_000_000
	maxRowBytes        = 10_000
	maxCollections     = 50

	// maxBodyBytes is where reading a body stops at all; it is no limit of
	// Customer.io's, only larger than each of them.
	maxBodyBytes = 16 << 20

	// triggerWindow is how old, in seconds, an event may be and still start a
	// campaign. Customer.io docs: Track API, 72 hours.
	triggerWindow = 72 * 3600

	// mergedWindow is how old, in seconds, an event of a person may be and still
	// follow a merge. Customer.io docs: Track API, merge, 30 days.
	mergedWindow = 30 * 24 * 3600

	// appPerSecond is the App API's rate per workspace, enforced with 429.
	// Customer.io docs: App API, 10 requests per second.
	appPerSecond = 10

	// millisecondsFrom is the first timestamp that only makes sense in
	// milliseconds: as seconds it lies past the year 5138.
	millisecondsFrom = 100_000_000_000
)
