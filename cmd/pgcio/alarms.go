package main

import (
	"log/slog"
	"sync"
	"time"

	"github.com/pgcio/pgcio/internal/status"
)

// alarms remember since when each has been there, from one look to the next. The
// daemon looks twice a second, whether or not anybody else does.
type alarms struct {
	mu    sync.Mutex
	since map[subject]time.Time

	offline bool // there is one look, of somebody who was not there before
	log     *slog.Logger
	told    map[subject]string // what has been logged, with the detail
}

// subject is what an alarm is about: a name, and perhaps one of several things
// that can each have it.
type subject struct{ name, of string }

// look is one look: it gathers the alarms there are.
type look struct {
	*alarms
	seen map[subject]bool
	now  map[subject]string
	list []status.Alarm
}

func (a *alarms) look() *look {
	return &look{alarms: a, seen: map[subject]bool{}, now: map[subject]string{}}
}

// add adds an alarm that somebody else remembers.
func (l *look) add(a status.Alarm) { l.enter(subject{a.Name, ""}, a) }

func (l *look) enter(s subject, a status.Alarm) {
	l.list = append(l.list, a)
	l.now[s] = a.Detail
}

// raise adds an alarm about one of several things ("": the only one).
func (l *look) raise(name, of, detail string) {
	if l.offline {
		l.add(status.Alarm{Name: name, Detail: detail})
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	s := subject{name, of}
	if l.since[s].IsZero() {
		if l.since == nil {
			l.since = map[subject]time.Time{}
		}
		l.since[s] = time.Now()
	}
	l.seen[s] = true
	l.enter(s, status.Alarm{Name: name, Since: l.since[s], Detail: detail})
}

// raiseKept is raise for an alarm of which the state knows since when.
func (l *look) raiseKept(name, of, detail string, since func() time.Time) {
	if l.offline {
		l.add(status.Alarm{Name: name, Since: since(), Detail: detail})
		return
	}
	l.raise(name, of, detail)
}

// end forgets the alarms that are over, so that one which comes back begins anew,
// and logs each once when it is raised, and when it is over.
func (l *look) end() []status.Alarm {
	l.mu.Lock()
	defer l.mu.Unlock()
	for s := range l.since {
		if !l.seen[s] {
			delete(l.since, s)
		}
	}
	if l.log == nil {
		return l.list
	}
	for s, detail := range l.now {
		if _, told := l.told[s]; !told {
			l.log.Warn("alarm", "name", s.name, "detail", detail)
		}
	}
	for s, detail := range l.told {
		if _, still := l.now[s]; !still {
			l.log.Info("alarm is over", "name", s.name, "was", detail)
		}
	}
	l.told = l.now
	return l.list
}
