package state

import (
	"encoding/binary"
	"fmt"
	"os"
)

// pages reads the pages of a bbolt file, as far as bbolt relies on them: what it
// finds wrong with the order of keys it says itself.
type pages struct {
	file *os.File
	size int64
	end  uint64   // the first page past those in use
	seen []uint64 // a bit for each page
	buf  []byte
}

// closed tells whether the meta page in force has a list of free pages.
func (p *pages) closed(meta int64) (bool, error) {
	b, err := p.read(meta*p.size, freelist+8)
	return err == nil && binary.NativeEndian.Uint64(b[freelist:]) != noFreelist, err
}

// The layout of a page: its number, what it is, how many elements it has and how
// many further pages belong to it; then the elements, and what they point at. A
// meta page says there which page holds the list of free ones.
const (
	pageHeader  = 16
	element     = 16
	branchPage  = 1
	leafPage    = 2
	bucketFlag  = 1 // of a leaf's element: its value is a bucket
	bucketValue = 16
	freelist    = pageHeader + 32
	noFreelist  = ^uint64(0)
)

func (p *pages) read(at, n int64) ([]byte, error) {
	if int64(cap(p.buf)) < n {
		p.buf = make([]byte, max(n, p.size))
	}
	b := p.buf[:n]
	if _, err := p.file.ReadAt(b, at); err != nil {
		return nil, fmt.Errorf("%w: read at %d: %w", errCorrupt, at, err)
	}
	return b, nil
}

// follow checks a page and all that are reached from it.
func (p *pages) follow(id uint64) error {
	bad := func(what string) error { return fmt.Errorf("%w: page %d %s", errCorrupt, id, what) }
	if id < 2 || id >= p.end {
		return bad("does not exist")
	}
	if p.seen == nil {
		p.seen = make([]uint64, p.end/64+1)
	}
	start := int64(id) * p.size
	b, err := p.read(start, p.size)
	if err != nil {
		return err
	}
	flags, count, more := binary.NativeEndian.Uint16(b[8:]), int64(binary.NativeEndian.Uint16(b[10:])), uint64(binary.NativeEndian.Uint32(b[12:]))
	switch {
	case binary.NativeEndian.Uint64(b) != id:
		return bad("is another one")
	case flags != branchPage && flags != leafPage:
		return bad("is neither a branch nor a leaf")
	case id+more >= p.end:
		return bad("is too long")
	}
	for n := id; n <= id+more; n++ {
		if p.seen[n/64]&(1<<(n%64)) != 0 {
			return bad("is reached twice")
		}
		p.seen[n/64] |= 1 << (n % 64)
	}
	span := int64(more+1) * p.size
	if pageHeader+count*element > span {
		return bad("has too many elements")
	}
	if pageHeader+count*element > p.size {
		if b, err = p.read(start, pageHeader+count*element); err != nil {
			return err
		}
	}
	var children []uint64
	var buckets []int64 // where their values are: the number of the root begins them
	for i := range count {
		at := pageHeader + i*element
		e := b[at : at+element]
		n := func(offset int) int64 { return int64(binary.NativeEndian.Uint32(e[offset:])) }
		if flags == branchPage {
			if at+n(0)+n(4) > span {
				return bad("has a key outside itself")
			}
			children = append(children, binary.NativeEndian.Uint64(e[8:]))
			continue
		}
		value := at + n(4) + n(8)
		if value+n(12) > span {
			return bad("has a value outside itself")
		}
		if n(0)&bucketFlag != 0 {
			if n(12) < bucketValue {
				return bad("has half a bucket")
			}
			buckets = append(buckets, start+value)
		}
	}
	for _, at := range buckets {
		b, err := p.read(at, bucketValue)
		if err != nil {
			return err
		}
		if root := binary.NativeEndian.Uint64(b); root != 0 { // 0: it lies within its value
			children = append(children, root)
		}
	}
	for _, child := range children {
		if err := p.follow(child); err != nil {
			return err
		}
	}
	return nil
}
