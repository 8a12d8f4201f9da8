package customerio

import (
	"testing"

	"pgregory.net/rapid"
)

func TestFold(t *testing.T) {
	for _, c := range []struct{ in, want Identifier }{
		{Identifier{Email, " Ada@Example.COM\t"}, Identifier{Email, "ada@example.com"}},
		{Identifier{Email, "É@x.test"}, Identifier{Email, "é@x.test"}},
		{Identifier{ID, " Ada "}, Identifier{ID, " Ada "}},
		{Identifier{CioID, "A3"}, Identifier{CioID, "A3"}},
		{Identifier{Phone, "+1 "}, Identifier{Phone, "+1 "}},
	} {
		if got := Fold(c.in); got != c.want {
			t.Errorf("Fold(%q) = %q, want %q", c.in, got, c.want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		once := Fold(Identifier{Email, hostile().Draw(t, "email")})
		if twice := Fold(once); twice != once {
			t.Fatalf("folding %q again gives %q", once, twice)
		}
	})
}

func TestIdentifierOf(t *testing.T) {
	for _, c := range []struct {
		t     IdentifierType
		value string
		want  string
		some  bool
	}{
		{Email, `" A@b.C "`, "a@b.c", true},
		{Email, `"A\u0040b.c"`, "a@b.c", true},
		{Email, `"  "`, "", false},
		{Email, `null`, "", false},
		{ID, `"X"`, "X", true},
		{ID, `""`, "", false},
		{ID, `42`, "42", true},
		{Phone, `"+1"`, "+1", true},
		{ID, `"broken`, "", false},
	} {
		got, some := IdentifierOf(c.t, []byte(c.value))
		if some != c.some || some && got != (Identifier{c.t, c.want}) {
			t.Errorf("IdentifierOf(%s, %s) = %q, %t", c.t, c.value, got, some)
		}
	}
}

func TestIdentifying(t *testing.T) {
	for name, want := range map[string]IdentifierType{"id": ID, "email": Email, "phone": Phone, "cio_id": CioID} {
		if got, ok := Identifying(name); !ok || got != want {
			t.Errorf("%s identifies by %s, %t", name, got, ok)
		}
	}
	for _, name := range []string{"", "Email", "plan", "anonymous_id"} {
		if got, ok := Identifying(name); ok {
			t.Errorf("%s identifies by %s", name, got)
		}
	}
}

// TestStoredNumbers: they are in state files.
func TestStoredNumbers(t *testing.T) {
	got := []uint8{uint8(Person), uint8(Event), uint8(Identify), uint8(Track), uint8(ID), uint8(Email), uint8(CioID), uint8(Phone)}
	want := []uint8{1, 2, 1, 2, 1, 2, 3, 4}
	if string(got) != string(want) {
		t.Errorf("the numbers are %v, state files say %v", got, want)
	}
}
