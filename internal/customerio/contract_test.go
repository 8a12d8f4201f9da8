package customerio

import (
	"bytes"
	"os"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"pgregory.net/rapid"

	"github.com/pgcio/pgcio/internal/simulator/schema"
)

// TestContract judges batches of random operations by Customer.io's own
// description of its API, whose file PGCIO_OPENAPI names, and by ours.
// `make test-contract` runs it.
func TestContract(t *testing.T) {
	theirs := func([]byte) error { return nil }
	if path := os.Getenv("PGCIO_OPENAPI"); path != "" {
		theirs = openAPI(t, path)
	} else {
		t.Log("PGCIO_OPENAPI is not set: judged by pgcio's own schema only")
	}
	rapid.Check(t, func(t *rapid.T) {
		body := drawBatch(t)
		if err := schema.Validate(body); err != nil {
			t.Fatalf("our schema: %v\n%s", err, body)
		}
		if err := theirs(body); err != nil {
			t.Fatalf("Customer.io's schema: %v\n%s", err, body)
		}
	})
	// A judge that lets everything pass would show nothing.
	if os.Getenv("PGCIO_OPENAPI") != "" {
		for _, body := range []string{
			`{"batch":[{"type":"person","action":"identify","identifiers":{"id":"1"},"timestamp":"now"}]}`,
			`{"batch":[{"type":"person","action":"event","identifiers":{"id":"1"}}]}`,
			`{"batch":[{"type":"person","action":"sing","identifiers":{"id":"1"}}]}`,
		} {
			if theirs([]byte(body)) == nil {
				t.Errorf("Customer.io's schema takes %s", body)
			}
		}
	}
}

const batchRequest = "#/paths/~1api~1v2~1batch/post/requestBody/content/application~1json/schema"

// openAPI returns the judge that an OpenAPI file describes for batch requests.
func openAPI(t *testing.T, path string) func(body []byte) error {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	document, err := jsonschema.UnmarshalJSON(file)
	if err != nil {
		t.Fatalf("read %s: %v", path, err)
	}
	loosen(document)
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	const location = "openapi.json"
	if err := c.AddResource(location, document); err != nil {
		t.Fatalf("read %s: %v", path, err)
	}
	s, err := c.Compile(location + batchRequest)
	if err != nil {
		t.Fatalf("compile the schema of a batch: %v", err)
	}
	return func(body []byte) error {
		v, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
		if err != nil {
			return err
		}
		return s.Validate(v)
	}
}

// loosen makes JSON schemas of OpenAPI's: its branches are told apart by a
// discriminator that JSON Schema does not know, so that more than one of a
// oneOf may fit; and what lists servers is no schema.
func loosen(v any) {
	switch v := v.(type) {
	case map[string]any:
		delete(v, "servers")
		if one, ok := v["oneOf"]; ok {
			delete(v, "oneOf")
			if both, ok := v["anyOf"]; ok {
				all, _ := v["allOf"].([]any)
				v["allOf"] = append(all, map[string]any{"anyOf": both})
			}
			v["anyOf"] = one
		}
		for _, inner := range v {
			loosen(inner)
		}
	case []any:
		for _, inner := range v {
			loosen(inner)
		}
	}
}
