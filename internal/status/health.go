package status

import "fmt"

// Ready reports whether the daemon streams and sends, and if not, why not.
func (s Snapshot) Ready() (reason string, ok bool) {
	if s.State != Backfilling && s.State != Streaming {
		if s.Postgres.LastError != nil {
			return "not streaming: " + *s.Postgres.LastError, false
		}
		return "not streaming yet", false
	}
	for _, w := range s.Workspaces {
		if w.State != Blocked {
			if w.State == Waiting && w.LastError != nil {
				return fmt.Sprintf("workspace %q cannot be sent anything: %s", w.Name, *w.LastError), false
			}
			continue
		}
		if w.LastError != nil {
			return fmt.Sprintf("workspace %q is blocked: %s", w.Name, *w.LastError), false
		}
		return fmt.Sprintf("workspace %q is blocked", w.Name), false
	}
	for _, a := range s.Alarms {
		if a.Name == "outbox_full" {
			return a.Name + ": " + a.Detail, false
		}
	}
	for _, m := range s.Mappings {
		if m.State == MappingBroken {
			return fmt.Sprintf("mapping %q is broken: %s", m.Name, m.Trouble), false
		}
	}
	return "", true
}
