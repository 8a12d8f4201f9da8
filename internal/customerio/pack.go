package customerio

// MaxItems is how many operations one batch holds at most. Customer.io names no
// number; its own integrations stop at 1,000.
const MaxItems = 1000

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
