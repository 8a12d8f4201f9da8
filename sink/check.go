package sink

import (
	"context"
	"errors"

	"github.com/pgcio/pgcio/internal/customerio"
)

// Region asks the workspace who it is.
func (s *Sink) Region(ctx context.Context) (Region, error) { return s.client.region(ctx) }

// IdentifierEnabled asks whether people of the workspace can be named by this
// kind of identifier. It needs an App API key.
func (s *Sink) IdentifierEnabled(ctx context.Context, t customerio.IdentifierType) (bool, error) {
	return s.client.identifierEnabled(ctx, t)
}

// ObjectTypes asks which types of custom object the workspace has. It needs an App
// API key.
func (s *Sink) ObjectTypes(ctx context.Context) ([]string, error) {
	return s.client.objectTypes(ctx)
}

// Refused tells whether Region, IdentifierEnabled or ObjectTypes failed because credentials
// are wrong, and not because nobody answered.
func Refused(err error) bool {
	var refused *refusedError
	return errors.As(err, &refused)
}
