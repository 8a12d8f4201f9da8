package schema

import (
	"bytes"
	_ "embed"
	"fmt"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

//go:embed batch.json
var batch []byte

const location = "pgcio:batch.json"

var compiled = sync.OnceValues(func() (*jsonschema.Schema, error) {
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(batch))
	if err != nil {
		return nil, fmt.Errorf("reading the schema of a batch: %w", err)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	if err := c.AddResource(location, document); err != nil {
		return nil, fmt.Errorf("reading the schema of a batch: %w", err)
	}
	s, err := c.Compile(location)
	if err != nil {
		return nil, fmt.Errorf("compiling the schema of a batch: %w", err)
	}
	return s, nil
})

// JSON is the schema, a JSON Schema of draft 2020-12.
func JSON() []byte { return bytes.Clone(batch) }

// Validate reports why a body is no batch request of pgcio's, or nil.
func Validate(body []byte) error {
	s, err := compiled()
	if err != nil {
		return err
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("reading a batch request: %w", err)
	}
	if err := s.Validate(v); err != nil {
		return fmt.Errorf("judging a batch request: %w", err)
	}
	return nil
}
