package simulator

import "testing"

func TestTheWholePath(t *testing.T) {
	c := newClient(t)
	status, body := c.batch(
		identifyItem(`{"id":"42"}`, `{"email":"A@b.c","plan":"pro","n":30,"tags":["x", "y"]}`, 100),
		asks("event", `{"id":"42"}`, `"name":" bought ","id":"01bx5zzkbkactav9wevgemmvry","timestamp":100,"attributes":{"price": 29.99}`),
		asks("event", `{"id":"42"}`, `"attributes":{}`),
		asks("add_device", `{"email":"a@B.c"}`, `"device":{"token":"tok","platform":"ios","last_used":5,"attributes":{"app":"1"}}`),
	)
	equal(t, "status", status, 207)
	equal(t, "body", body, `{"errors":[{"batch_index":2,"reason":"required","field":"name","message":"name is required"}]}`+"\n")
	equal(t, "dump", string(c.Dump(DumpOptions{})), `{
  "workspaces": {
    "main": {
      "people": [
        {
          "id": "42",
          "email": "A@b.c",
          "attributes": {
            "n": 30,
            "plan": "pro",
            "tags": [
              "x",
              "y"
            ]
          },
          "devices": [
            {
              "token": "tok",
              "platform": "ios",
              "attributes": {
                "app": "1"
              }
            }
          ]
        }
      ],
      "events": [
        {
          "person": "id:42",
          "name": "bought",
          "data": {
            "price": 29.99
          }
        }
      ],
      "suppressed": []
    }
  }
}
`)
	status, body = c.do("GET", "/v1/customers/42/attributes?id_type=id", "")
	equal(t, "status", status, 200)
	t.Log(body)
}
