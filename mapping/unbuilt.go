package mapping

// What is planned and this version does not do yet. The grammar knows
// these words, so that they are refused as what they are instead of as
// spelling mistakes. Whoever builds one deletes its line here, and the compiler
// and the tests of grammar.go say what else there is to do.
var (
	unbuiltObjects = []string{"segment", "collection"}

	// By object.
	unbuiltBehaviors = map[string][]string{
		"person":       {"mirror"},
		"device":       {"mirror"},
		"object":       {"mirror"},
		"relationship": {"mirror"},
	}

	unbuiltKeys = []string{
		"suppress_when", "on_delete", "on_leave", "on_key_change",
		"delete_limit", "on_truncate", "on_remove",
		"on", "when", "keep",
		"segment", "collection", "create", "order", "limit", "min_interval",
	}

	// Inside person = { … }.
	unbuiltPersonKeys = []string{"of", "key"}
)

// unbuilt is the message for a word of these lists.
const unbuilt = "is not built yet in this version of pgcio"
