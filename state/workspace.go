package state

import (
	"context"
	"slices"
)

// Workspace is the identity that the state has sent to under a workspace's
// name; a zero Environment: none yet.
func (s *Store) Workspace(ws int) (region string, environment int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.registry.wsInForce[ws]
	return w.region, w.environment
}

// AcceptWorkspace stores the identity that answers under a workspace's name.
// When another one answered before, nothing that was sent to that one is known
// to the new: every fingerprint is void, and what backfills is backfilled
// again (B7).
func (s *Store) AcceptWorkspace(ctx context.Context, ws int, region string, environment int64) error {
	s.mu.Lock()
	w := s.registry.wsInForce[ws]
	had := w.environment
	s.mu.Unlock()
	if had == environment && w.region == region {
		return nil
	}
	return s.Update(ctx, func(tx *Tx) error {
		next := *w
		next.region, next.environment = region, environment
		if had != 0 {
			next.epoch++
		}
		all := slices.Clone(tx.s.registry.workspaces)
		all[w.number] = &next
		tx.put(appendWorkspaces(all))
		tx.then(func() { w.region, w.environment, w.epoch = next.region, next.environment, next.epoch })
		if had == 0 {
			return nil
		}
		for _, m := range tx.s.registry.inForce {
			if m.ws != w.number {
				continue
			}
			m.generation++
			tx.book(m)
			if m.def.Backfill {
				tx.backfillAgain(m)
			}
		}
		return nil
	})
}
