package main

import (
	"fmt"
	"io"
	"log/slog"
)

// secret is a credential. However it is printed, it prints as "…"; it stands
// behind a pointer because fmt calls no methods of unexported fields and would
// print what they hold.
type secret struct{ text *string }

const hidden = "…"

func newSecret(text string) secret { return secret{&text} }

// reveal is the credential itself, for the one place that needs it; "" if
// there is none.
func (s secret) reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// String hides the secret.
func (s secret) String() string { return hidden }

// Format hides the secret from every verb.
func (s secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, hidden) }

// MarshalText hides the secret from JSON, TOML and the like.
func (s secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// LogValue hides the secret from slog.
func (s secret) LogValue() slog.Value { return slog.StringValue(hidden) }
