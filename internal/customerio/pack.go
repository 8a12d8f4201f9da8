package customerio

// MaxItems is how many operations one batch holds at most. Customer.io names no
// number; its own integrations stop at 1,000.
const MaxItems = 1000

// Room measures what fits into one /api/v2/batch request, and writes nothing.
// What it takes a Packer takes as well: it measures by Size, which is never less
// than what is written. The zero Room is a whole request.
type Room struct {
	bytes, count int
}

// Take takes the operation's share of the room, or reports that it does not fit.
func (r *Room) Take(op *Operation) bool {
	size := len(`,`) + op.Size()
	if r.count >= MaxItems || len(batchOpen)+r.bytes+size+len(batchClose) > MaxRequest {
		return false
	}
	r.bytes += size
	r.count++
	return true
}

// Packer puts operations into the body of one /api/v2/batch request, in the
// order given, and never past a limit. The zero Packer is ready.
type Packer struct {
	Items int // at most so many; 0: MaxItems
	body  []byte
	count int
}

const (
	batchOpen  = `{"batch":[`
	batchClose = `]}`
)

// Add appends the operation, or reports that it does not fit. It is measured
// before it is added.
func (p *Packer) Add(op *Operation) bool {
	if len(p.body) == 0 {
		p.body = append(p.body, batchOpen...)
	}
	limit := MaxItems
	if p.Items > 0 {
		limit = min(limit, p.Items)
	}
	if p.count >= limit || len(p.body)+len(`,`)+op.Size()+len(batchClose) > MaxRequest {
		return false
	}
	if p.count > 0 {
		p.body = append(p.body, ',')
	}
	p.body = op.AppendJSON(p.body)
	p.count++
	return true
}

// Len is how many operations were added.
func (p *Packer) Len() int { return p.count }

// Body is the request's body.
func (p *Packer) Body() []byte {
	return append(p.body[:len(p.body):len(p.body)], batchClose...)
}
