package simulator

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// BenchmarkBatch sends batches of 500 items of about 300 bytes, half of them
// identifies, through the in-memory door. One operation is one item.
func BenchmarkBatch(b *testing.B) {
	const size = 500
	settings := DefaultSettings()
	settings.UnknownPerson = "orphan"
	w := DefaultWorkspace()
	w.Settings = &settings
	c := newClientOf(b, Options{Workspaces: []Workspace{w}, NoLog: true})
	var bodies []string
	for n := range 40 {
		items := make([]string, size)
		for i := range items {
			k := n*size + i
			if i%2 == 0 {
				items[i] = identifyItem(fmt.Sprintf(`{"id":"%d"}`, k), fmt.Sprintf(
					`{"email":"user%d@example.com","first_name":"Ada","last_name":"Lovelace","plan":"premium","seats":%d,"created_at":1772013598,"country":"GB","city":"London","active":true}`, k, i), 1772013598)
			} else {
				items[i] = asks("event", fmt.Sprintf(`{"id":"%d"}`, k-1), fmt.Sprintf(
					`"name":"order placed","id":"%026d","timestamp":1772013598,"attributes":{"total":29.99,"currency":"EUR","items":[{"sku":"a-1","n":2},{"sku":"b-2","n":1}],"coupon":null}`, k))
			}
		}
		bodies = append(bodies, `{"batch":[`+strings.Join(items, ",")+`]}`)
	}
	b.SetBytes(int64(len(bodies[0])) / size)
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		if n%size == 0 {
			if status, body := c.do(http.MethodPost, "/api/v2/batch", bodies[n/size%len(bodies)]); status != 200 {
				b.Fatal(status, body)
			}
		}
		n++
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "items/s")
}
