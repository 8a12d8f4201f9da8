package state

import (
	"context"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/pgcio/pgcio/internal/customerio"
)

// processorTime is what this process has used: other work on the machine does
// not count.
func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// benchAsk is what an update of a row of six mapped columns asks.
func benchAsk(id int, visits int, dst *customerio.Ask) {
	key := strconv.Itoa(id)
	attrs := dst.Operation.Attributes[:0]
	attrs = append(attrs,
		customerio.Attribute{Name: "email", Value: []byte(`"user` + key + `@example.com"`)},
		customerio.Attribute{Name: "name", Value: []byte(`"User Number ` + key + `"`)},
		customerio.Attribute{Name: "plan", Value: []byte(`"free"`)},
		customerio.Attribute{Name: "visits", Value: []byte(strconv.Itoa(visits))},
		customerio.Attribute{Name: "city", Value: []byte(`"Springfield"`)},
		customerio.Attribute{Name: "updated_at", Value: []byte(strconv.Itoa(1700000000 + visits))})
	*dst = customerio.Ask{
		Row: []byte{1, 0x80, 0, 0, 0, 0, byte(id >> 16), byte(id >> 8), byte(id)}, Answer: customerio.In,
		Operation: customerio.Operation{Kind: customerio.Person, Action: customerio.Identify, Person: customerio.Identifier{Type: customerio.ID, Value: key}, Attributes: attrs},
	}
}

// BenchmarkUpdate stores updates of people at random, in batches, while nothing
// is sent.
func BenchmarkUpdate(b *testing.B) {
	for _, batch := range []int{5_000, 20_000} {
		b.Run(strconv.Itoa(batch), func(b *testing.B) {
			rng := rand.New(rand.NewPCG(1, 1))
			const people = 100_000
			visits := make([]int, people)
			benchStore(b, batch, func() int {
				id := rng.IntN(people)
				visits[id]++
				return id
			}, func(id int) int { return visits[id] })
		})
	}
}

// BenchmarkInsert stores new people in the order of their keys, as a backfill
// does.
func BenchmarkInsert(b *testing.B) {
	for _, batch := range []int{2_000, 10_000} {
		b.Run(strconv.Itoa(batch), func(b *testing.B) {
			n := 0
			benchStore(b, batch, func() int { n++; return n }, func(int) int { return 0 })
		})
	}
}

func benchStore(b *testing.B, batch int, next func() int, visits func(int) int) {
	s, err := Open(b.Context(), Options{
		Path: filepath.Join(b.TempDir(), "state.db"), Workspaces: []string{"main"}, Mappings: []Mapping{{Name: "people", Kind: customerio.Person}},
	})
	if err != nil {
		b.Fatal(err)
	}
	asks := make([]customerio.Ask, batch)
	refs := make([]Ref, batch)
	var peak uint64
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	began := processorTime()
	b.ResetTimer()
	for done := 0; done < b.N; done += batch {
		n := min(batch, b.N-done)
		for i := range n {
			id := next()
			benchAsk(id, visits(id), &asks[i])
			refs[i] = Ref{Person: asks[i].Operation.Person}
		}
		at, _ := s.Stored()
		err := s.Update(context.Background(), func(tx *Tx) error {
			tx.Fetch(refs[:n])
			tx.From(&Origin{Commit: at + 8, XID: uint64(at), Time: time.Now()})
			for i := range n {
				tx.Apply(&asks[i])
			}
			tx.Through(at+16, Mark{})
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
		if done/batch%5 == 0 {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			peak = max(peak, m.HeapInuse)
		}
	}
	b.StopTimer()
	used := processorTime() - began
	cancel()
	<-ended
	b.ReportMetric(float64(used.Nanoseconds())/float64(b.N), "cpu-ns/change")
	b.ReportMetric(float64(peak>>20), "heap-MB")
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
}
