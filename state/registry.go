package state

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/pgcio/pgcio/internal/customerio"
)

// Mapping is a mapping in force, as far as the state needs to know it.
type Mapping struct {
	Name, Was  string
	Workspace  int // its place in Options.Workspaces
	Kind       customerio.Kind
	UpdateOnly bool
	Backfill   bool
	Paused     bool
}

// mapping is a mapping the state has ever known. Its number stands for it in
// every record; its name is its identity between runs.
type mapping struct {
	number     uint16
	name       string
	generation uint32   // fingerprints of an older one are void
	books      Books    // as the transaction in hand has them
	published  Books    // as of the last commit
	def        *Mapping // nil: not in force
	ws         uint8
	table      Table // zero: not known to have been streamed
}

// workspace is a workspace the state has ever known.
type workspace struct {
	number      uint8
	name        string
	region      string
	environment int64  // Customer.io's id of it; 0: never seen
	epoch       uint32 // rises with every other workspace under the name: what things were sent to an older one is void

	// named and held tell by which types of identifier (1 << type) its things
	// are named, and which they hold beside: what nobody ever used need not be
	// looked for.
	named, held uint64
}

// registry holds the names that records carry as numbers.
type registry struct {
	mappings   []*mapping   // by number
	inForce    []*mapping   // by place in Options.Mappings
	workspaces []*workspace // by number
	wsInForce  []*workspace // by place in Options.Workspaces
	attrs      []string     // by number
	attrNumber map[string]uint32
	newAttrs   int // attrs from here on are not stored yet
}

// attr gives an attribute's number, a new one if need be.
func (tx *Tx) attr(name string) uint32 {
	g := &tx.s.registry
	if n, ok := g.attrNumber[name]; ok {
		return n
	}
	n := uint32(len(g.attrs))
	name = strings.Clone(name)
	tx.s.quick.Lock() // Draw reads the names
	g.attrs = append(g.attrs, name)
	tx.s.quick.Unlock()
	g.attrNumber[name] = n
	return n
}

// load reads the registry and enters the mappings and workspaces in force.
func (g *registry) load(r reader, opts *Options) error {
	g.attrNumber = map[string]uint32{}
	var err error
	each := func(kind byte, fn func(key string, d *decoder)) {
		r.scan([]byte{kind}, []byte{kind + 1}, func(k, v []byte) bool {
			d := open(string(k), v)
			fn(string(k), &d)
			err = d.err
			return err == nil
		})
	}
	each(kindAttr, func(_ string, d *decoder) {
		name := d.string()
		g.attrNumber[name] = uint32(len(g.attrs))
		g.attrs = append(g.attrs, name)
	})
	if err != nil {
		return err
	}
	g.newAttrs = len(g.attrs)
	each(kindMapping, func(key string, d *decoder) {
		m := &mapping{number: binary.BigEndian.Uint16([]byte(key[1:]))}
		m.name = d.string()
		m.ws = d.byte()
		m.generation = uint32(d.uint())
		m.books.decode(d)
		if int(m.number) != len(g.mappings) && d.err == nil {
			d.err = fmt.Errorf("mapping %d is missing: %w", len(g.mappings), errCorrupt)
		}
		m.published = m.books
		g.mappings = append(g.mappings, m)
	})
	if err != nil {
		return err
	}
	if err := g.loadTables(r); err != nil {
		return err
	}
	if v := r.get(metaKey("workspaces")); v != nil {
		d := open(string(metaKey("workspaces")), v)
		for range d.count(6) {
			w := &workspace{number: uint8(len(g.workspaces)), name: d.string(), region: d.string(), environment: d.int()}
			w.epoch = uint32(d.uint())
			w.named, w.held = d.uint(), d.uint()
			g.workspaces = append(g.workspaces, w)
		}
		if d.err != nil {
			return d.err
		}
	}
	return g.enter(opts)
}

func (g *registry) enter(opts *Options) error {
	for _, name := range opts.Workspaces {
		w := g.workspaceNamed(name)
		if w == nil {
			if len(g.workspaces) == 256 {
				return fmt.Errorf("workspace %q: the state file knows 256 workspaces, which is its limit", name)
			}
			w = &workspace{number: uint8(len(g.workspaces)), name: name}
			g.workspaces = append(g.workspaces, w)
		}
		g.wsInForce = append(g.wsInForce, w)
	}
	for i := range opts.Mappings {
		def := &opts.Mappings[i]
		ws := g.wsInForce[def.Workspace].number
		m := g.mappingNamed(def.Name)
		if m == nil && def.Was != "" {
			if m = g.mappingNamed(def.Was); m != nil {
				m.name = def.Name
			}
		}
		if m == nil {
			if len(g.mappings) == 1<<16 {
				return fmt.Errorf("mapping %q: the state file knows 65,536 mappings, which is its limit", def.Name)
			}
			m = &mapping{number: uint16(len(g.mappings)), name: def.Name, generation: 1}
			g.mappings = append(g.mappings, m)
		} else if m.ws != ws {
			return fmt.Errorf("mapping %q: it fed workspace %q before; give it a new name to feed %q", def.Name, g.workspaces[m.ws].name, g.wsInForce[def.Workspace].name)
		}
		m.def, m.ws = def, ws
		g.inForce = append(g.inForce, m)
	}
	return nil
}

func (g *registry) mappingNamed(name string) *mapping {
	for _, m := range g.mappings {
		if m.name == name {
			return m
		}
	}
	return nil
}

func (g *registry) workspaceNamed(name string) *workspace {
	for _, w := range g.workspaces {
		if w.name == name {
			return w
		}
	}
	return nil
}

func appendMapping(m *mapping) (key, value []byte) {
	key = number16(kindMapping, m.number)
	v := []byte{recordVersion}
	v = appendBytes(v, m.name)
	v = append(v, m.ws)
	v = binary.AppendUvarint(v, uint64(m.generation))
	v = m.books.append(v)
	return key, seal(v, 0, string(key))
}

func appendWorkspaces(all []*workspace) (key, value []byte) {
	key = metaKey("workspaces")
	v := []byte{recordVersion}
	v = binary.AppendUvarint(v, uint64(len(all)))
	for _, w := range all {
		v = appendBytes(v, w.name)
		v = appendBytes(v, w.region)
		v = binary.AppendVarint(v, w.environment)
		v = binary.AppendUvarint(v, uint64(w.epoch))
		v = binary.AppendUvarint(v, w.named)
		v = binary.AppendUvarint(v, w.held)
	}
	return key, seal(v, 0, string(key))
}

func appendAttr(number uint32, name string) (key, value []byte) {
	key = binary.BigEndian.AppendUint32([]byte{kindAttr}, number)
	return key, seal(appendBytes([]byte{recordVersion}, name), 0, string(key))
}
