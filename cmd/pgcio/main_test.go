package main

import (
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/pgcio/pgcio/internal/pgtest"
)

// Scripts run this binary as pgcio.
func TestMain(m *testing.M) {
	testscript.Main(tidy{m}, map[string]func(){"pgcio": main, failing: mainWithFailpoint})
}

// tidy leaves nothing of pgtest behind.
type tidy struct{ m *testing.M }

func (t tidy) Run() int {
	code := t.m.Run()
	if err := pgtest.Shutdown(); err != nil {
		os.Stderr.WriteString("pgtest: " + err.Error() + "\n")
		code = max(code, 1)
	}
	return code
}
