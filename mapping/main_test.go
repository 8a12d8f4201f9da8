package mapping

import (
	"testing"

	"github.com/pgcio/pgcio/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }
