package mapping

import (
	"slices"
	"strings"
)

// form is a row of the table of objects: an object, its behaviors, and
// the keys that only some objects take.
type form struct {
	object    string
	behaviors []string
	required  []string
	optional  []string
}

var forms = []form{
	{"person", []string{"update_or_create", "update_only", "mirror"}, []string{"person"}, []string{"attributes", "suppress_when", "on_delete", "on_leave", "on_key_change"}},
	{"device", []string{"update_or_create", "mirror"}, []string{"person", "token", "platform"}, []string{"last_used", "attributes"}},
	{"event", []string{"append"}, []string{"person", "event", "event_id"}, []string{"timestamp", "attributes", "on", "when", "keep"}},
	{"segment", []string{"update_or_create", "mirror"}, []string{"person", "segment"}, []string{"create"}},
	{"collection", []string{"mirror"}, []string{"collection", "attributes"}, []string{"create", "order", "limit", "min_interval"}},
	{"object", []string{"update_or_create", "mirror"}, []string{"object_type", "object_id"}, []string{"attributes"}},
	{"relationship", []string{"update_or_create", "mirror"}, []string{"person", "object_type", "object_id"}, []string{"attributes"}},
}

// commonKeys are the keys that every mapping takes, whatever its object.
var commonKeys = []string{
	"name", "was", "workspace", "table", "object", "behavior", "where",
	"nulls", "oversize", "backfill", "backfill_where", "key", "paused",
	"delete_limit", "on_truncate", "on_remove", "except",
}

func formOf(object string) *form {
	for i := range forms {
		if forms[i].object == object {
			return &forms[i]
		}
	}
	return nil
}

// takes tells whether a mapping of this object has the key.
func (f *form) takes(key string) bool {
	return slices.Contains(commonKeys, key) || slices.Contains(f.required, key) || slices.Contains(f.optional, key)
}

func objects() []string {
	var names []string
	for _, f := range forms {
		names = append(names, f.object)
	}
	return names
}

// behaviors are those of all objects, and builtBehaviors those that are built,
// which alone are offered to whoever has written another word.
func behaviors() []string      { return behaviorsOf(func(f *form) []string { return f.behaviors }) }
func builtBehaviors() []string { return behaviorsOf((*form).built) }

func behaviorsOf(of func(*form) []string) []string {
	var names []string
	for i := range forms {
		for _, b := range of(&forms[i]) {
			if !slices.Contains(names, b) {
				names = append(names, b)
			}
		}
	}
	return names
}

// built are the behaviors of the object that are built.
func (f *form) built() []string {
	if slices.Contains(unbuiltObjects, f.object) {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(f.behaviors), func(b string) bool {
		return slices.Contains(unbuiltBehaviors[f.object], b)
	})
}

// allKeys are all keys of all objects.
func allKeys() []string {
	keys := slices.Clone(commonKeys)
	for _, f := range forms {
		for _, k := range slices.Concat(f.required, f.optional) {
			if !slices.Contains(keys, k) {
				keys = append(keys, k)
			}
		}
	}
	return keys
}

// combinations lists the objects and behaviors that go together and are built.
func combinations() string {
	var all []string
	for i := range forms {
		if built := forms[i].built(); len(built) > 0 {
			all = append(all, forms[i].object+": "+strings.Join(built, ", "))
		}
	}
	return strings.Join(all, "; ")
}

// objectsWith lists the objects that take a key.
func objectsWith(key string) []string {
	var names []string
	for i := range forms {
		if forms[i].takes(key) {
			names = append(names, forms[i].object)
		}
	}
	return names
}
