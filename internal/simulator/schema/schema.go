package schema

import (
	"bytes"
	"embed"
	"fmt"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

//go:embed *.json
var files embed.FS

// kind is one kind of request body and its schema.
type kind struct {
	file, name string
	schema     func() (*jsonschema.Schema, error)
}

var (
	batch      = newKind("batch.json", "a batch")
	members    = newKind("members.json", "a change of a segment's members")
	segment    = newKind("segment.json", "a new segment")
	collection = newKind("collection.json", "a collection")
)

func newKind(file, name string) *kind {
	k := &kind{file: file, name: name}
	k.schema = sync.OnceValues(k.compile)
	return k
}

func (k *kind) compile() (*jsonschema.Schema, error) {
	raw, err := files.ReadFile(k.file)
	if err != nil {
		return nil, fmt.Errorf("reading the schema of %s: %w", k.name, err)
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("reading the schema of %s: %w", k.name, err)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	location := "pgcio:" + k.file
	if err := c.AddResource(location, document); err != nil {
		return nil, fmt.Errorf("reading the schema of %s: %w", k.name, err)
	}
	s, err := c.Compile(location)
	if err != nil {
		return nil, fmt.Errorf("compiling the schema of %s: %w", k.name, err)
	}
	return s, nil
}

func (k *kind) validate(body []byte) error {
	s, err := k.schema()
	if err != nil {
		return err
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("reading %s: %w", k.name, err)
	}
	if err := s.Validate(v); err != nil {
		return fmt.Errorf("judging %s: %w", k.name, err)
	}
	return nil
}

// Validate reports why a body is no batch request of pgcio's, or nil.
func Validate(body []byte) error { return batch.validate(body) }

// ValidateMembers reports why a body is no request of pgcio's that adds to a
// manual segment or takes out of it, or nil.
func ValidateMembers(body []byte) error { return members.validate(body) }

// ValidateSegment reports why a body is no request of pgcio's that makes a
// segment, or nil.
func ValidateSegment(body []byte) error { return segment.validate(body) }

// ValidateCollection reports why a body is no request of pgcio's that makes or
// replaces a collection, or nil.
func ValidateCollection(body []byte) error { return collection.validate(body) }

// JSON is the schema of a batch, a JSON Schema of draft 2020-12.
func JSON() []byte {
	raw, err := files.ReadFile(batch.file)
	if err != nil {
		panic("schema: " + err.Error()) // it is embedded
	}
	return raw
}
