package main

import (
	"github.com/spf13/cobra"

	"github.com/pgcio/pgcio/internal/strict"
)

// What is planned and this version does not build stands here and nowhere
// else. Each is refused by its name: never unknown, never accepted in silence.

// unbuiltCommands are the commands, with what they will do.
var unbuiltCommands = []struct{ use, short string }{
	{"reload", "as SIGHUP, and say what changed"},
	{"pause [MAPPING]", "store and do not send"},
	{"resume [MAPPING]", "send again"},
	{"resync MAPPING", "backfill again, sending what differs"},
	{"held", "list, release or drop what waits for consent"},
	{"savepoint", "create, list or drop positions to replay from"},
	{"replay", "send again what happened since a position"},
	{"state", "back up, check or compact the state file"},
}

const unbuiltGroup = "unbuilt"

// unbuiltCommand refuses a command.
func unbuiltCommand(name string) error { return usagef("%q is not built yet in this version", name) }

// addUnbuilt adds the commands of the table to the help, each refusing itself.
func addUnbuilt(root *cobra.Command) {
	root.AddGroup(&cobra.Group{ID: unbuiltGroup, Title: "Not in this version:"})
	for _, c := range unbuiltCommands {
		root.AddCommand(&cobra.Command{
			Use: c.use, Short: c.short, GroupID: unbuiltGroup,
			DisableFlagParsing: true,
			RunE: func(cmd *cobra.Command, _ []string) error {
				return unbuiltCommand(cmd.Name())
			},
		})
	}
}

// unbuiltFlag refuses a flag.
func unbuiltFlag(name string) error { return usagef("%s is not built yet in this version", name) }

// unbuiltSetting is a key that is known but may only hold its default.
type unbuiltSetting struct {
	key   string
	value string            // the default
	words string            // all that it may hold once it is built
	other func(string) bool // what that is, beside the default
}

var unbuiltPostgres = []unbuiltSetting{
	{"replay_window", "0s", `a duration like "24h" or "7d"`, isDuration},
	{"give_up_wal", "off", `"off" or a size like "64MB"`, isSize},
	{"on_gap", "halt", `"halt" or "resync"`, func(s string) bool { return s == "resync" }},
}

var unbuiltState = []unbuiltSetting{
	{"event_id_retention", "forever", `"forever" or a duration like "90d"`, isDuration},
}

func isDuration(s string) bool { _, err := strict.ParseDuration(s); return err == nil }

func isSize(s string) bool { _, err := strict.ParseSize(s); return err == nil }

// refuseUnbuilt records a problem for each setting that is not at its default:
// what is understood is not built yet, anything else is wrong.
func refuseUnbuilt(t *strict.Table, settings []unbuiltSetting) {
	for _, s := range settings {
		v, ok := t.String(s.key)
		switch {
		case !ok || v == s.value:
		case s.other(v):
			t.Problem(s.key, `leave it out or write "`+s.value+`"`, "%q is not built yet in this version", v)
		default:
			t.Problem(s.key, "", "must be %s, but is %s", s.words, strict.Describe(v))
		}
	}
}
