package simulator

import (
	"slices"
	"strconv"
)

// device is one push token of one person.
type device struct {
	platform   string
	lastUsed   int64 // Unix seconds
	attributes map[string]string
}

// addDevice is the operation "add_device". What it does to another who has the
// token no source says: Settings.TokenElsewhere.
type addDevice struct {
	address         address
	token, platform string
	lastUsed        int64
	attributes      []member
}

// tokenField is what the two APIs call the token.
func (it *item) tokenField() string {
	if it.v1 {
		return "id"
	}
	return "token"
}

// readDevice reads the field device and its token.
func (it *item) readDevice() (fields []member, token string, inv *invalid) {
	raw := it.field("device")
	if raw == nil {
		return nil, "", missing("device")
	}
	fields, err := members(raw)
	if err != nil {
		return nil, "", bad("device", "device %s", err)
	}
	field := "device." + it.tokenField()
	for _, m := range fields {
		if m.key != it.tokenField() {
			continue
		}
		var ok bool
		if token, ok = asString(m.value); !ok {
			return nil, "", bad(field, "device token must be a string")
		}
	}
	if token == "" {
		return nil, "", missing(field)
	}
	return fields, token, nil
}

// parseAddDevice reads the operation. Customer.io docs: Track API, devices:
// the platform is ios or android, attributes are strings.
func parseAddDevice(it *item) (operation, *invalid) {
	it.only("device")
	fields, token, inv := it.readDevice()
	if inv != nil {
		return nil, inv
	}
	op := &addDevice{address: it.address, token: token}
	for _, m := range fields {
		switch m.key {
		case it.tokenField():
		case "platform":
			op.platform, _ = asString(m.value)
		case "last_used":
			// A first-party client writes it as a string of digits.
			raw := m.value
			if s, ok := asString(raw); ok {
				if _, err := strconv.ParseInt(s, 10, 64); err == nil {
					raw = []byte(s)
				}
			}
			if op.lastUsed, inv = it.readTimestamp("device.last_used", raw); inv != nil {
				return nil, inv
			}
		case "attributes":
			if op.attributes, inv = readAttributes("device.attributes", m.value); inv != nil {
				return nil, inv
			}
		default:
			it.notice(NoticeUnknownField)
		}
	}
	if op.platform != "ios" && op.platform != "android" {
		return nil, bad("device.platform", "platform must be ios or android")
	}
	for _, m := range op.attributes {
		if !isString(m.value) && !isNull(m.value) {
			return nil, bad("device.attributes."+m.key, "device attributes must be strings")
		}
		if m.key == "push_enabled" && !slices.Contains([]string{`"true"`, `"false"`, "null"}, string(m.value)) {
			return nil, bad("device.attributes.push_enabled", `push_enabled must be "true" or "false"`)
		}
		if m.key == "_last_status" {
			it.notice(NoticeReadOnly)
		}
	}
	return op, nil
}

func (op *addDevice) action() string { return "add_device" }
func (op *addDevice) names(list []address) []address {
	return append(list, op.address.key(), address{kindToken, op.token})
}

func (op *addDevice) apply(w *workspace, a *accepted) {
	p := w.personFor(op.address, a, DropUnknownPerson)
	if p == nil {
		return
	}
	if w.settings.TokenElsewhere == "take" {
		for _, other := range w.people {
			if other != p {
				delete(other.devices, op.token)
			}
		}
	}
	if p.devices == nil {
		p.devices = make(map[string]*device)
	}
	d := p.devices[op.token]
	if d == nil {
		d = &device{attributes: make(map[string]string)}
		p.devices[op.token] = d
	}
	d.platform, d.lastUsed = op.platform, op.lastUsed
	if d.lastUsed == 0 {
		d.lastUsed = a.received
	}
	for _, m := range op.attributes {
		switch {
		case m.key == "_last_status":
		case isNull(m.value):
			delete(d.attributes, m.key)
		default:
			d.attributes[m.key] = unquote(m.value)
		}
	}
}

// deleteDevice is the operation "delete_device".
type deleteDevice struct {
	address address
	token   string
}

func parseDeleteDevice(it *item) (operation, *invalid) {
	it.only("device")
	_, token, inv := it.readDevice()
	if inv != nil {
		return nil, inv
	}
	return &deleteDevice{it.address, token}, nil
}

func (op *deleteDevice) action() string { return "delete_device" }
func (op *deleteDevice) names(list []address) []address {
	return append(list, op.address.key(), address{kindToken, op.token})
}

func (op *deleteDevice) apply(w *workspace, _ *accepted) {
	if w.isSuppressed([]address{op.address}) {
		w.drop(DropSuppressed)
		return
	}
	p := w.find(op.address)
	if p == nil || p.devices[op.token] == nil {
		w.notice(NoticeDeviceUnknown)
		return
	}
	delete(p.devices, op.token)
}
