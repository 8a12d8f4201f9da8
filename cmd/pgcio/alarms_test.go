package main

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/pgcio/pgcio/internal/status"
	"github.com/pgcio/pgcio/state"
)

// An alarm has been there since it began, whoever looks; one that comes back
// begins anew, and two things have alarms of their own.
func TestAlarmsRememberWhenTheyBegan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var a alarms
		began := time.Now()
		look := func(things ...string) map[string]time.Duration {
			l := a.look()
			for _, of := range things {
				l.raise("parked", of, of)
			}
			since := map[string]time.Duration{}
			for _, alarm := range l.end() {
				since[alarm.Detail] = alarm.Since.Sub(began)
			}
			time.Sleep(time.Second)
			return since
		}
		look("people") // at 0
		if got := look("people", "orders"); got["people"] != 0 || got["orders"] != time.Second {
			t.Errorf("the second look: %v", got)
		}
		if got := look("orders"); len(got) != 1 || got["orders"] != time.Second {
			t.Errorf("the third look: %v", got)
		}
		if got := look("people", "orders"); got["people"] != 3*time.Second || got["orders"] != time.Second {
			t.Errorf("the fourth look: %v", got)
		}
	})
}

// What was left out is one alarm, which names all attributes, those left out last
// first.
func TestLeftOut(t *testing.T) {
	var a alarms
	l := a.look()
	old := state.Left{Name: "old", Times: 1, Reason: "it is too long", Last: time.Now().Add(-2 * leftAlarm)}
	var many []state.Left
	for i := range 7 {
		many = append(many, state.Left{Name: string(rune('a' + i)), Times: uint64(i + 1), Reason: "it is too long", Last: time.Now().Add(time.Duration(i-7) * time.Minute)})
	}
	left([]state.MappingStatus{{Name: "people", Left: append(many, old)}, {Name: "orders"}}, l)
	got := l.end()
	want := "left out was people.g (7 times), people.f (6 times), people.e (5 times), people.d (4 times), people.c (3 times), people.b (2 times), people.a (1 time), " +
		"the last time because it is too long"
	if len(got) != 1 || got[0].Name != "values_left_out" || got[0].Detail != want {
		t.Errorf("got %+v, want one that says %q", got, want)
	}
	var none []status.Alarm
	l = a.look()
	left([]state.MappingStatus{{Name: "people", Left: []state.Left{old}}}, l)
	if none = l.end(); len(none) != 0 {
		t.Errorf("of long ago: %+v", none)
	}
}
