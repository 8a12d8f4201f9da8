package simulator

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// activity is the type under which Customer.io logs a failed change.
// Customer.io docs: App API, activity types.
func (f *FailedAttributeChange) activity() string {
	switch typeID, _, _ := strings.Cut(f.Object, "/"); {
	case f.Object == "":
		return "failed_attribute_change"
	case f.Person != "":
		return "relationship_failed_attribute_change"
	default:
		return "_o:" + typeID + ":failed_attribute_change"
	}
}

// appActivities answers GET /v1/activities, newest first. Of all types, only
// failed attribute changes are recorded. Customer.io docs: App API, activities.
func (w *workspace) appActivities(c *call) *reply {
	limit := 10
	if text := c.query.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > 100 {
			return errorReply(c, http.StatusBadRequest, "", "limit must be from 1 to 100")
		}
		limit = n
	}
	before := len(w.failed)
	if start := c.query.Get("start"); start != "" {
		n, err := strconv.ParseInt(start, 36, 32)
		if err != nil || int(n) > before || n < 0 {
			return errorReply(c, http.StatusBadRequest, "", "start is no token of this list")
		}
		before = int(n)
	}
	type activity struct {
		ID                  string            `json:"id"`
		Type                string            `json:"type"`
		Timestamp           int64             `json:"timestamp"`
		CustomerID          string            `json:"customer_id"`
		CustomerIdentifiers map[string]string `json:"customer_identifiers"`
		Data                map[string]string `json:"data"`
	}
	list, next := []activity{}, ""
	wanted := c.query.Get("type")
	for i := before - 1; i >= 0; i-- {
		f := w.failed[i]
		if wanted != "" && wanted != f.activity() {
			continue
		}
		if len(list) == limit {
			next = strconv.FormatInt(int64(i+1), 36)
			break
		}
		list = append(list, activity{
			ID: fmt.Sprintf("fac%06d", i+1), Type: f.activity(), Timestamp: f.At.Truncate(time.Second).Unix(),
			CustomerID:          f.id,
			CustomerIdentifiers: map[string]string{"id": f.id, "email": f.email, "cio_id": f.CioID},
			Data:                map[string]string{f.Field: f.Value, "reason": f.Reason},
		})
	}
	return jsonReply(http.StatusOK, encode(map[string]any{"activities": list, "next": next}))
}
