package customerio

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// heavy is an operation of about so many bytes, at least 150.
func heavy(id string, size int) Operation {
	op := Operation{Action: Identify, Person: Identifier{ID, id}, Timestamp: 1772013598}
	for n, left := 0, size-op.Size(); left > 0; n++ {
		a := Attribute{Name: "a" + strconv.Itoa(n), Value: []byte(`"` + strings.Repeat("x", max(0, min(990, left-12))) + `"`)}
		op.Attributes = append(op.Attributes, a)
		left -= len(a.Name) + len(a.Value) + 4
	}
	return op
}

// TestPackerStaysWithinARequest: never past 500,000 bytes or 1,000 items,
// nothing left out that would have fitted, and everything in its order.
func TestPackerStaysWithinARequest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := Packer{Items: rapid.SampledFrom([]int{0, 0, 1, 7, 5000}).Draw(t, "items")}
		most := MaxItems
		if p.Items > 0 {
			most = min(p.Items, MaxItems)
		}
		small := rapid.Bool().Draw(t, "small")
		var ids []string
		used := len(batchOpen) + len(batchClose)
		for i := 0; ; i++ {
			size := 120
			if !small {
				size = rapid.IntRange(120, MaxItem).Draw(t, "size")
			}
			op := heavy(strconv.Itoa(i), size)
			if !p.Add(&op) {
				if p.Len() < most && used+op.Size() <= MaxRequest {
					t.Fatalf("refused operation %d of %d bytes in a body of %d", i, op.Size(), used)
				}
				break
			}
			used += len(op.AppendJSON(nil)) + len(",")
			ids = append(ids, op.Person.Value)
			if p.Len() != len(ids) {
				t.Fatalf("Len is %d after %d", p.Len(), len(ids))
			}
		}
		body := p.Body()
		if len(body) > MaxRequest {
			t.Fatalf("the body is %d bytes long", len(body))
		}
		var got struct {
			Batch []struct{ Identifiers struct{ ID string } }
		}
		if err := json.Unmarshal(body, &got); err != nil {
			t.Fatal(err)
		}
		if len(got.Batch) != len(ids) || len(ids) > most {
			t.Fatalf("%d items in the body, %d were added, %d are allowed", len(got.Batch), len(ids), most)
		}
		for i := range ids {
			if got.Batch[i].Identifiers.ID != ids[i] {
				t.Fatalf("item %d is %s, want %s", i, got.Batch[i].Identifiers.ID, ids[i])
			}
		}
		if again := p.Body(); !bytes.Equal(again, body) {
			t.Fatal("asking for the body twice changed it")
		}
	})
}

func TestPackerTakesTheLastByte(t *testing.T) {
	fill := func() *Packer {
		p := &Packer{}
		for i := range 15 {
			op := heavy(strconv.Itoa(i), MaxItem-100)
			if !p.Add(&op) {
				t.Fatal("does not fit")
			}
		}
		return p
	}
	p := fill()
	room := MaxRequest - len(p.Body()) - 1 // less the comma
	fits, over := exactly(t, room), exactly(t, room+1)
	if p.Add(&over) {
		t.Errorf("an operation of %d bytes went into room for %d", over.Size(), room)
	}
	if !p.Add(&fits) {
		t.Errorf("an operation of %d bytes did not fit into room for %d", fits.Size(), room)
	}
}

// exactly is an operation whose Size is so many bytes.
func exactly(t *testing.T, size int) Operation {
	t.Helper()
	op := heavy("x", size-1100)
	op.Attributes = append(op.Attributes, Attribute{Name: "fill", Value: []byte(`""`)})
	last := &op.Attributes[len(op.Attributes)-1]
	last.Value = []byte(`"` + strings.Repeat("x", size-op.Size()) + `"`)
	if op.Size() != size {
		t.Fatalf("Size is %d, want %d", op.Size(), size)
	}
	return op
}

// TestRoomTakesNoMoreThanAPacker: what was measured can be written, and a body
// falls short of what fits by no more than the measures do.
func TestRoomTakesNoMoreThanAPacker(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var room Room
		var p Packer
		small := rapid.Bool().Draw(t, "small")
		slack := 0
		for i := 0; ; i++ {
			size := 120
			if !small {
				size = rapid.IntRange(120, MaxItem).Draw(t, "size")
			}
			op := heavy(strconv.Itoa(i), size)
			if !room.Take(&op) {
				if i < MaxItems && len(p.Body())+len(",")+op.Size()+slack <= MaxRequest {
					t.Fatalf("no room for operation %d of %d bytes behind a body of %d", i, op.Size(), len(p.Body()))
				}
				return
			}
			slack += op.Size() - len(op.AppendJSON(nil)) + len(",")
			if !p.Add(&op) {
				t.Fatalf("operation %d was measured, and does not fit behind a body of %d", i, len(p.Body()))
			}
		}
	})
}

// TestRoomWritesNothing: measuring takes no memory.
func TestRoomWritesNothing(t *testing.T) {
	var room Room
	op := heavy("1", MaxItem/2)
	if n := testing.AllocsPerRun(100, func() { room = Room{}; room.Take(&op) }); n > 0 {
		t.Errorf("measuring allocates %v times", n)
	}
}
