package state

import "github.com/pgcio/pgcio/internal/lsn"

// Status is a picture of the state as of one commit.
type Status struct {
	Source    Source
	Stored    lsn.LSN
	Delivered lsn.LSN
	Mappings  []MappingStatus // in force, in their order
	// Workspaces are those in force, in their order.
	Workspaces []WorkspaceStatus
	Rereads    int64 // rows that wait to be read again
	Size, Free int64 // bytes of the file, and of these the unused ones
	Weight     int64 // bytes that wait or are in flight, roughly
}

// MappingStatus is a mapping's part of a Status.
type MappingStatus struct {
	Name  string
	Books Books
	// Parked and Orphaned are entries, of which one may stand for many changes.
	Parked, Orphaned int64
	// Bounded: so much is set aside that of more only key and reason are kept.
	Bounded  bool
	Left     []Left // values left out of what was sent
	InFlight uint64 // operations of Books.Waiting that are on their way
	Backfill Backfill
	Paused   bool
}

// WorkspaceStatus is a workspace's part of a Status.
type WorkspaceStatus struct {
	Name        string
	Entries     int64 // steps that wait or are in flight
	InFlight    int
	Region      string
	Environment int64
}

// Status takes a picture.
func (s *Store) Status() (Status, error) {
	delivered, err := s.Delivered()
	if err != nil {
		return Status{}, err
	}
	left := make([][]Left, len(s.registry.inForce))
	err = s.engine.view(func(r reader) (err error) {
		for i, m := range s.registry.inForce {
			if left[i], err = leftOf(r, m.number); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return Status{}, err
	}
	total, free := s.engine.size()
	backfills := s.Backfills()
	s.mu.Lock()
	defer s.mu.Unlock()
	st := Status{
		Source: s.source, Stored: s.position.stored, Delivered: min(delivered, s.position.stored),
		Rereads: s.tally.rereads, Size: total, Free: free, Weight: s.tally.weight(),
		Mappings: make([]MappingStatus, len(s.registry.inForce)),
	}
	for i, m := range s.registry.inForce {
		st.Mappings[i] = MappingStatus{Name: m.name, Books: m.published, Parked: s.tally.asides[m.number][parked], Orphaned: s.tally.asides[m.number][orphaned], Bounded: s.tally.crowded(m, 0), Left: left[i], Paused: m.def.Paused}
	}
	for _, b := range backfills {
		st.Mappings[b.Mapping].Backfill = b
	}
	byNumber := map[uint16]int{}
	for i, m := range s.registry.inForce {
		byNumber[m.number] = i
	}
	for _, w := range s.registry.wsInForce {
		ws := WorkspaceStatus{Name: w.name, Entries: s.tally.outboxes[w.number].entries, Region: w.region, Environment: w.environment}
		s.quick.Lock()
		for _, f := range s.flying {
			if f.ws != w.number || f.resting.Load() {
				continue
			}
			ws.InFlight++
			for number, changes := range f.changes {
				if i, ok := byNumber[number]; ok {
					st.Mappings[i].InFlight += changes
				}
			}
		}
		s.quick.Unlock()
		st.Workspaces = append(st.Workspaces, ws)
	}
	return st, nil
}
