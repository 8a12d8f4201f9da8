package schema

import (
	"encoding/json"
	"fmt"
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
	const acme = `{"object_type_id":"1","object_id":"acme"}`
	object := func(action, rest string) string {
		return `{"type":"object","action":"` + action + `","identifiers":` + acme + `,` + rest + `}`
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
		"unknown action":             {person("sing", id), false},
		"merge":                      {person("merge", `"primary":{"id":"1"},"secondary":{"cio_id":"a3000001"}`), true},
		"merge with identifiers":     {person("merge", id+`,"primary":{"id":"1"},"secondary":{"id":"2"}`), false},
		"merge without secondary":    {person("merge", `"primary":{"id":"1"}`), false},
		"relationship":               {person("add_relationships", id+`,"cio_relationships":[{"identifiers":`+acme+`,"relationship_attributes":{"role":"x","gone":null}}]`), true},
		"relationship without":       {person("add_relationships", id+`,"cio_relationships":[{"identifiers":`+acme+`}]`), true},
		"relationships of nothing":   {person("add_relationships", id+`,"cio_relationships":[]`), false},
		"relationship with a person": {person("add_relationships", id+`,"cio_relationships":[{"identifiers":{"id":"1"}}]`), false},
		"relationship and more":      {person("add_relationships", id+`,"attributes":{},"cio_relationships":[{"identifiers":`+acme+`}]`), false},
		"relationship removed":       {person("delete_relationships", id+`,"cio_relationships":[{"identifiers":`+acme+`}]`), true},
		"removed with attributes":    {person("delete_relationships", id+`,"cio_relationships":[{"identifiers":`+acme+`,"relationship_attributes":{}}]`), false},
		"relationship in identify":   {person("identify", id+`,"timestamp":1,"cio_relationships":[{"identifiers":`+acme+`}]`), false},
		"object":                     {object("identify", `"attributes":{"name":"Acme","gone":null,"deep":{"a":[1]}}`), true},
		"object without attributes":  {object("identify", `"x":1`), false},
		"object with a timestamp":    {object("identify", `"timestamp":1,"attributes":{}`), false},
		"object renamed":             {object("identify", `"attributes":{"object_id":"b"}`), false},
		"object value of 1001":       {object("identify", `"attributes":{"x":"`+strings.Repeat("x", 1001)+`"}`), false},
		"object related":             {object("add_relationships", `"cio_relationships":[{"identifiers":{"email":"a@b.c"},"relationship_attributes":{}}]`), true},
		"object with an object":      {object("add_relationships", `"cio_relationships":[{"identifiers":`+acme+`}]`), false},
		"object unrelated":           {object("delete_relationships", `"cio_relationships":[{"identifiers":{"id":"1"}}]`), true},
		"object event":               {object("event", `"name":"x"`), false},
		"object suppressed":          {`{"type":"object","action":"suppress","identifiers":` + acme + `}`, false},
		"object deleted":             {`{"type":"object","action":"delete","identifiers":` + acme + `}`, true},
		"object type as number":      {`{"type":"object","action":"delete","identifiers":{"object_type_id":1,"object_id":"a"}}`, false},
		"object type as word":        {`{"type":"object","action":"delete","identifiers":{"object_type_id":"Companies","object_id":"a"}}`, false},
		"object id of 151":           {`{"type":"object","action":"delete","identifiers":{"object_type_id":"1","object_id":"` + strings.Repeat("x", 151) + `"}}`, false},
		"object by a person's id":    {`{"type":"object","action":"delete",` + id + `}`, false},
		"unknown type":               {`{"type":"delivery","action":"delete",` + id + `}`, false},
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

func TestValidateOthers(t *testing.T) {
	ids := func(n int) string {
		list := make([]string, n)
		for i := range list {
			list[i] = fmt.Sprintf("%q", fmt.Sprint(i))
		}
		return `{"ids":[` + strings.Join(list, ",") + `]}`
	}
	for _, c := range []struct {
		name  string
		judge func([]byte) error
		body  string
		ok    bool
	}{
		{"members", ValidateMembers, ids(1000), true},
		{"too many members", ValidateMembers, ids(1001), false},
		{"no members", ValidateMembers, ids(0), false},
		{"a member twice", ValidateMembers, `{"ids":["1","1"]}`, false},
		{"a member by number", ValidateMembers, `{"ids":[1]}`, false},
		{"an empty member", ValidateMembers, `{"ids":[" "]}`, false},
		{"members and more", ValidateMembers, `{"ids":["1"],"id_type":"id"}`, false},
		{"segment", ValidateSegment, `{"segment":{"name":"VIPs","description":""}}`, true},
		{"segment without a name", ValidateSegment, `{"segment":{"description":"x"}}`, false},
		{"segment without itself", ValidateSegment, `{"name":"VIPs"}`, false},
		{"new collection", ValidateCollection, `{"name":"events","data":[{"a":1},{}]}`, true},
		{"collection replaced", ValidateCollection, `{"data":[]}`, true},
		{"collection renamed", ValidateCollection, `{"name":"events"}`, false},
		{"collection by url", ValidateCollection, `{"name":"events","url":"https://example.com"}`, false},
		{"row that is no object", ValidateCollection, `{"data":[1]}`, false},
		{"rows as an object", ValidateCollection, `{"data":{}}`, false},
		{"no JSON", ValidateCollection, `{`, false},
	} {
		if err := c.judge([]byte(c.body)); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
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
