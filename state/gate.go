package state

import "sync"

// gate keeps changes of the active table and views of it apart. Unlike a
// sync.RWMutex it lets a view begin while a change waits for others to end:
// whoever has a view open may wait for somebody who opens one.
type gate struct {
	mu    sync.Mutex
	gone  sync.Cond
	views int
}

// shut waits until there is no view, and keeps them out until mu is let go.
func (g *gate) shut() {
	g.mu.Lock()
	for g.views > 0 {
		g.gone.Wait()
	}
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.views--; g.views == 0 {
		g.gone.Broadcast()
	}
}
