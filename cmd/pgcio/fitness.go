package main

import (
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/pgcio/pgcio/cdc"
	"github.com/pgcio/pgcio/mapping"
)

// fitness knows which mappings no longer fit their tables: a mapped column has
// gone, or old rows do not carry the key any more. Two tell of it: the stream,
// at once but perhaps of long ago, and a look at the catalog now and then, which
// also tells when a table fits again that nobody writes to. The newer word holds,
// and a change that did not fit is newer than the look before it.
type fitness struct {
	mapper *mapping.Mapper
	source describer
	log    *slog.Logger

	seen map[*cdc.Table]map[int]string // table versions of the stream; of the pump alone

	mu     sync.Mutex
	found  map[int]misfit // by mapping
	looked time.Time      // when the look at the catalog was taken that is judged
}

// describer is what a fitness needs of a source: the tables as they are.
type describer interface {
	Tables() (map[string]*cdc.Table, time.Time)
}

// misfit is why a mapping does not fit ("": it does), and when that was seen.
type misfit struct {
	reason string
	at     time.Time
}

// versionsKept bounds the table versions remembered: every connection describes
// the tables anew.
const versionsKept = 256

func newFitness(mapper *mapping.Mapper, source describer, log *slog.Logger) *fitness {
	return &fitness{mapper: mapper, source: source, log: log, found: map[int]misfit{}, seen: map[*cdc.Table]map[int]string{}}
}

// batch looks at a batch of the stream.
func (f *fitness) batch(b *cdc.Batch) {
	var last *cdc.Table
	for i := range b.Changes {
		if t := b.Changes[i].Table; t != last {
			last = t
			f.version(t)
		}
	}
}

// version notes the table version that a change is of.
func (f *fitness) version(t *cdc.Table) {
	troubles, known := f.seen[t]
	if !known {
		troubles = f.mapper.Troubles(t)
		if len(f.seen) >= versionsKept {
			clear(f.seen)
		}
		f.seen[t] = troubles
	}
	for i, reason := range troubles {
		// A version that fits is news only once: it may be older than the catalog.
		if reason != "" || !known {
			f.note(i, reason)
		}
	}
}

func (f *fitness) note(mapping int, reason string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.enter(mapping, misfit{reason, time.Now()})
}

// enter keeps a finding, and logs one that is news. mu is held.
func (f *fitness) enter(mapping int, now misfit) {
	was := f.found[mapping].reason
	f.found[mapping] = now
	name := f.mapper.Mappings()[mapping].Name
	switch {
	case now.reason == was:
	case now.reason == "":
		f.log.Info("mapping fits its table again", "mapping", name)
	default:
		f.log.Error("mapping does not fit its table any more, its changes are parked", "mapping", name, "reason", now.reason)
	}
}

// troubles says, by mapping, what does not fit.
func (f *fitness) troubles() map[int]string {
	tables, at := f.source.Tables()
	f.mu.Lock()
	defer f.mu.Unlock()
	if at.After(f.looked) {
		f.judge(tables, at)
	}
	out := map[int]string{}
	for i, m := range f.found {
		if m.reason != "" {
			out[i] = m.reason
		}
	}
	return out
}

// judge takes a look at the catalog into account. mu is held.
func (f *fitness) judge(tables map[string]*cdc.Table, at time.Time) {
	for _, m := range f.mapper.Mappings() {
		reason := fmt.Sprintf("table %s is not there any more; bring it back, or change the mapping's table", m.Table)
		if t := tables[m.Table]; t != nil {
			reason = f.mapper.Troubles(t)[m.Index]
		}
		if reason != "" || !f.found[m.Index].at.After(f.looked) {
			f.enter(m.Index, misfit{reason, at})
		}
	}
	f.looked = at
}
