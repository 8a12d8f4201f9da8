package simulator_test

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/pgcio/pgcio/internal/simulator"
)

func Example() {
	sim, err := simulator.New(simulator.Options{Seed: 1})
	if err != nil {
		panic(err)
	}
	defer sim.Close()

	// The first request is answered 503, the second is taken.
	if err := sim.SetFaults(simulator.Fault{Kind: "status", Status: 503, Times: 1}); err != nil {
		panic(err)
	}
	client := &http.Client{Transport: sim.Transport()}
	w := simulator.DefaultWorkspace()
	for range 2 {
		r, err := http.NewRequest("POST", "https://track.customer.io/api/v2/batch", strings.NewReader(
			`{"batch":[{"type":"person","action":"identify","identifiers":{"id":"42"},"attributes":{"plan":"pro"}}]}`))
		if err != nil {
			panic(err)
		}
		r.SetBasicAuth(w.SiteID, w.TrackKey)
		response, err := client.Do(r)
		if err != nil {
			panic(err)
		}
		response.Body.Close()
		fmt.Println(response.Status)
	}
	ada, _ := sim.State("").Person("id:42")
	fmt.Println(ada.CioID, ada.Value("plan"))
	// Output:
	// 503 Service Unavailable
	// 200 OK
	// a3000001 "pro"
}
