package schema

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestValidate(t *testing.T) {
	const (
		id   = `"identifiers":{"id":"42"}`
		ulid = `"id":"01BX5ZZKBKACTAV9WEVGEMMVRY"`
	)
	person := func(action, rest string) string {
		return `{"type":"person","action":"` + action + `",` + rest + `}`
	}
	for name, c := range map[string]struct {
		item string
		ok   bool
	}{
		"identify":                   {person("identify", id+`,"timestamp":1,"attributes":{"email":"a@b.c","n":1.5,"gone":null,"deep":{"a":[1]},"_update":true}`), true},
		"identify by email":          {person("identify", `"identifiers":{"email":"a@b.c"},"timestamp":1`), true},
		"identify by cio_id":         {person("identify", `"identifiers":{"cio_id":"a3000001"},"timestamp":1,"attributes":{"id":"43"}`), true},
		"prefixed cio_id":            {person("identify", `"identifiers":{"cio_id":"cio_a3000001"},"timestamp":1`), false},
		"no timestamp":               {person("identify", id), false},
		"milliseconds":               {person("identify", id+`,"timestamp":1772013598000`), false},
		"timestamp as text":          {person("identify", id+`,"timestamp":"1"`), false},
		"numeric id":                 {person("identify", `"identifiers":{"id":42},"timestamp":1`), false},
		"empty id":                   {person("identify", `"identifiers":{"id":""},"timestamp":1`), false},
		"two identifiers":            {person("identify", `"identifiers":{"id":"1","email":"a@b.c"},"timestamp":1`), false},
		"no identifier":              {person("identify", `"identifiers":{},"timestamp":1`), false},
		"identifiers missing":        {person("identify", `"timestamp":1`), false},
		"id of 151":                  {person("identify", `"identifiers":{"id":"`+strings.Repeat("x", 151)+`"},"timestamp":1`), false},
		"name of 151":                {person("identify", id+`,"timestamp":1,"attributes":{"`+strings.Repeat("x", 151)+`":1}`), false},
		"value of 1001":              {person("identify", id+`,"timestamp":1,"attributes":{"x":"`+strings.Repeat("x", 1001)+`"}`), false},
		"extra field":                {person("identify", id+`,"timestamp":1,"x":1`), false},
		"cio_id among attributes":    {person("identify", id+`,"timestamp":1,"attributes":{"cio_id":"a"}`), false},
		"_timestamp":                 {person("identify", id+`,"timestamp":1,"attributes":{"_timestamp":1}`), false},
		"event":                      {person("event", id+`,"timestamp":1,"name":"bought it",`+ulid+`,"attributes":{"x":{"y":null}}`), true},
		"event without id":           {person("event", id+`,"timestamp":1,"name":"bought"`), false},
		"event id in lower case":     {person("event", id+`,"timestamp":1,"name":"bought","id":"01bx5zzkbkactav9wevgemmvry"`), false},
		"event id too large":         {person("event", id+`,"timestamp":1,"name":"bought","id":"81BX5ZZKBKACTAV9WEVGEMMVRY"`), false},
		"event id with an I":         {person("event", id+`,"timestamp":1,"name":"bought","id":"01BX5ZZKBKACTAV9WEVGEMMVRI"`), false},
		"event name with space":      {person("event", id+`,"timestamp":1,"name":" bought",`+ulid), false},
		"event name of 101":          {person("event", id+`,"timestamp":1,"name":"`+strings.Repeat("x", 101)+`",`+ulid), false},
		"event data in v1's key":     {person("event", id+`,"timestamp":1,"name":"bought",`+ulid+`,"data":{}`), false},
		"device":                     {person("add_device", id+`,"device":{"token":"t","platform":"ios","last_used":1,"attributes":{"app":"1"}}`), true},
		"device of v1":               {person("add_device", id+`,"device":{"id":"t","platform":"ios"}`), false},
		"device of another platform": {person("add_device", id+`,"device":{"token":"t","platform":"web"}`), false},
		"device with a number":       {person("add_device", id+`,"device":{"token":"t","platform":"ios","attributes":{"app":1}}`), false},
		"device without token":       {person("add_device", id+`,"device":{"token":"","platform":"ios"}`), false},
		"delete_device":              {person("delete_device", id+`,"device":{"token":"t"}`), true},
		"delete_device and platform": {person("delete_device", id+`,"device":{"token":"t","platform":"ios"}`), false},
		"delete":                     {person("delete", id), true},
		"delete with a timestamp":    {person("delete", id+`,"timestamp":1`), false},
		"suppress":                   {person("suppress", id), true},
		"unsuppress":                 {person("unsuppress", id), true},
		"suppress with attributes":   {person("suppress", id+`,"attributes":{}`), false},
		"unknown action":             {person("merge", id), false},
		"unknown type":               {`{"type":"object","action":"delete",` + id + `}`, false},
		"no item at all":             {`1`, false},
	} {
		t.Run(name, func(t *testing.T) {
			if err := Validate([]byte(`{"batch":[` + c.item + `]}`)); (err == nil) != c.ok {
				t.Errorf("%s: %v", c.item, err)
			}
		})
	}
	for _, body := range []string{`{}`, `[]`, `{"batch":[]}`, `{"batch":{}}`, `{"batch":[`, `{"batch":[],"x":1}`} {
		if Validate([]byte(body)) == nil {
			t.Errorf("%s is no batch", body)
		}
	}
}

func TestJSON(t *testing.T) {
	var v map[string]any
	if err := json.Unmarshal(JSON(), &v); err != nil {
		t.Fatal(err)
	}
	if v["$schema"] != "https://json-schema.org/draft/2020-12/schema" {
		t.Error("not of draft 2020-12")
	}
}
