package mapping

import (
	"math"
	"time"
)

// moment is a point in time as Postgres writes one under DateStyle ISO:
// "2024-01-31", "2024-01-31 12:00:00.123456", "0044-03-15 00:00:00+00 BC".
// Years run from 4713 BC to 294276 AD, so it is no time.Time's text form.
type moment struct {
	infinite int8  // -1 or +1: -infinity or infinity
	seconds  int64 // Unix seconds, were the wall clock UTC's
	nanos    int32
	offset   int32 // seconds east of UTC
	zoned    bool  // offset was written
}

// unix is the moment in Unix seconds, rounded down. A wall clock without a zone
// is read in the zone given; nil is UTC.
func (m moment) unix(zone *time.Location) int64 {
	if m.zoned || zone == nil {
		return m.seconds - int64(m.offset)
	}
	// The offset of a wall clock is that of a moment near it; time.Date settles
	// the hours that a clock change skips or repeats.
	wall := time.Unix(m.seconds, 0).UTC()
	return time.Date(wall.Year(), wall.Month(), wall.Day(), wall.Hour(), wall.Minute(), wall.Second(), 0, zone).Unix()
}

// The ends of time in expressions: later and earlier than any that Postgres
// can write, and far enough from the ends of time.Time to be compared.
var (
	forever = time.Unix(math.MaxInt64/4, 0).UTC()
	never   = time.Unix(math.MinInt64/4, 0).UTC()
)

// time is the moment for an expression.
func (m moment) time(zone *time.Location) time.Time {
	switch {
	case m.infinite > 0:
		return forever
	case m.infinite < 0:
		return never
	}
	return time.Unix(m.unix(zone), int64(m.nanos)).UTC()
}

// parseMoment reads a date or timestamp. A reason other than "" says that the
// text is none.
func parseMoment(text []byte) (m moment, reason string) {
	switch string(text) {
	case "infinity":
		return moment{infinite: 1}, ""
	case "-infinity":
		return moment{infinite: -1}, ""
	}
	p := digits{text: text, ok: true}
	year := p.upTo(7)
	p.expect('-')
	month := p.two()
	p.expect('-')
	day := p.two()
	var hour, minute, second int64
	if (p.at(' ') || p.at('T')) && p.pos+1 < len(text) && text[p.pos+1] != 'B' {
		p.pos++
		hour = p.two()
		p.expect(':')
		minute = p.two()
		p.expect(':')
		second = p.two()
		if p.at('.') {
			p.pos++
			m.nanos = p.fraction()
		}
		if p.at('+') || p.at('-') {
			sign := int32(1)
			if p.at('-') {
				sign = -1
			}
			p.pos++
			m.offset = int32(p.two()) * 3600
			if p.at(':') {
				p.pos++
				m.offset += int32(p.two()) * 60
			}
			if p.at(':') {
				p.pos++
				m.offset += int32(p.two())
			}
			m.offset *= sign
			m.zoned = true
		} else if p.at('Z') {
			p.pos++
			m.zoned = true
		}
	}
	if p.ok && string(text[p.pos:]) == " BC" {
		year = 1 - year
		p.pos += 3
	}
	if !p.ok || p.pos != len(text) || month < 1 || month > 12 || day < 1 || day > 31 || hour > 24 || minute > 59 || second > 60 {
		return moment{}, "not a date or timestamp"
	}
	m.seconds = daysOf(year, month, day)*86400 + hour*3600 + minute*60 + second
	return m, ""
}

// daysOf counts the days from 1970-01-01 to a date of the proleptic Gregorian
// calendar, by counting years from March, so that a leap day is a year's last.
func daysOf(year, month, day int64) int64 {
	if month <= 2 {
		year--
		month += 12
	}
	era := year / 400
	if year < 0 {
		era = (year - 399) / 400
	}
	ofEra := year - era*400
	ofYear := (153*(month-3)+2)/5 + day - 1
	return era*146097 + ofEra*365 + ofEra/4 - ofEra/100 + ofYear - 719468
}

// digits reads numbers off a text; ok turns false at the first surprise.
type digits struct {
	text []byte
	pos  int
	ok   bool
}

func (p *digits) at(c byte) bool { return p.pos < len(p.text) && p.text[p.pos] == c }

func (p *digits) expect(c byte) {
	if !p.at(c) {
		p.ok = false
		return
	}
	p.pos++
}

func (p *digits) two() int64 {
	if p.pos+2 > len(p.text) {
		p.ok = false
		return 0
	}
	a, b := p.text[p.pos]-'0', p.text[p.pos+1]-'0'
	if a > 9 || b > 9 {
		p.ok = false
	}
	p.pos += 2
	return int64(a)*10 + int64(b)
}

func (p *digits) upTo(most int) int64 {
	start := p.pos
	var n int64
	for p.pos < len(p.text) && p.text[p.pos] >= '0' && p.text[p.pos] <= '9' && p.pos < start+most {
		n = n*10 + int64(p.text[p.pos]-'0')
		p.pos++
	}
	if p.pos == start {
		p.ok = false
	}
	return n
}

func (p *digits) fraction() int32 {
	start := p.pos
	var n int32
	for unit := int32(100_000_000); p.pos < len(p.text) && p.text[p.pos] >= '0' && p.text[p.pos] <= '9'; unit /= 10 {
		n += int32(p.text[p.pos]-'0') * unit
		p.pos++
	}
	if p.pos == start {
		p.ok = false
	}
	return n
}
