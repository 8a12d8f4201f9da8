package customerio

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Reply is what a response means for the operations of its request.
type Reply struct {
	Do       Do
	Verdicts []Verdict     // Settle: one for each operation
	After    time.Duration // Backoff: what Retry-After asked for; 0: nothing
	Reason   string        // in Customer.io's words where it gave any
}

// Do is what is to be done after a response.
type Do uint8

// What is to be done. The zero value is Backoff: the unknown is tried again.
const (
	// Backoff: send the same again later, and slow down.
	Backoff Do = iota
	// Settle: every operation has its verdict.
	Settle
	// Bisect: something in the request is refused, and nobody says what.
	Bisect
	// Singly: what the reply says of single operations cannot be trusted: send
	// each in a request of its own.
	Singly
	// Stop: nothing gets through with these credentials at this address.
	Stop
)

// MaxRetryAfter bounds what a reply may ask for (Customer.io's own clients
// bound it so).
const MaxRetryAfter = 300 * time.Second

// maxReason bounds how much of a body becomes part of a reason.
const maxReason = 300

// ReadReply reads the response to a request of n operations. It is total over
// every status and body.
func ReadReply(status int, header http.Header, body []byte, n int, now time.Time) Reply {
	reason := func() string { return fmt.Sprintf("Customer.io answered %d%s", status, said(body)) }
	switch {
	case status == http.StatusOK:
		// Something between us and Customer.io may answer 200 with a page of its
		// own, or cut the answer off: only a JSON object says that it arrived.
		var object map[string]json.RawMessage
		if err := json.Unmarshal(body, &object); err != nil || object == nil {
			return Reply{Reason: "Customer.io answered 200 with a body that is no JSON object" + said(body)}
		}
		if list, some := object["errors"]; some && !empty(list) {
			return multi(object, n)
		}
		return Reply{Do: Settle, Verdicts: all(n, Verdict{Kind: Accepted})}
	case status == http.StatusMultiStatus:
		var object map[string]json.RawMessage
		if err := json.Unmarshal(body, &object); err != nil {
			return unsure("Customer.io answered 207 with a body that cannot be read" + said(body))
		}
		return multi(object, n)
	case status == http.StatusBadRequest, status == http.StatusUnprocessableEntity, status == http.StatusRequestEntityTooLarge:
		if n == 1 {
			return Reply{Do: Settle, Verdicts: all(1, Verdict{Kind: Rejected, Reason: reason()}), Reason: reason()}
		}
		return Reply{Do: Bisect, Reason: reason()}
	case status == http.StatusRequestTimeout, status == http.StatusTooEarly, status == http.StatusTooManyRequests, status >= 500:
		return Reply{After: retryAfter(header, now), Reason: reason()}
	case status >= 300 && status < 400:
		return Reply{Do: Stop, Reason: fmt.Sprintf("Customer.io answered %d, a redirect to %q: is this the workspace's region?", status, cut(header.Get("Location")))}
	case status >= 400:
		// Not about an operation: the credentials, or the address.
		return Reply{Do: Stop, Reason: reason()}
	default:
		return Reply{Reason: reason()}
	}
}

func all(n int, v Verdict) []Verdict {
	vs := make([]Verdict, n)
	for i := range vs {
		vs[i] = v
	}
	return vs
}

// empty tells whether a list of errors is there and names none.
func empty(list json.RawMessage) bool {
	var errors []json.RawMessage
	return json.Unmarshal(list, &errors) == nil && len(errors) == 0
}

// unsure is a reply of which is known only that part of the request may have
// been accepted.
func unsure(reason string) Reply { return Reply{Do: Singly, Reason: reason} }

// multi reads the list of a 207: the operations it names are refused, all
// others are accepted. A list that does not add up is not believed.
func multi(object map[string]json.RawMessage, n int) Reply {
	var errors []struct {
		Index   *int   `json:"batch_index"`
		Reason  string `json:"reason"`
		Field   string `json:"field"`
		Message string `json:"message"`
	}
	if err := json.Unmarshal(object["errors"], &errors); err != nil || len(errors) == 0 {
		return unsure("Customer.io answered 207 without a list of errors that can be read")
	}
	verdicts := all(n, Verdict{Kind: Accepted})
	for _, e := range errors {
		if e.Index == nil || *e.Index < 0 || *e.Index >= n || verdicts[*e.Index].Kind == Rejected {
			return unsure("Customer.io answered 207 with a batch_index that is missing, doubled or out of range")
		}
		words := []string{}
		for _, w := range []string{e.Reason, e.Field, e.Message} {
			if w != "" {
				words = append(words, w)
			}
		}
		verdicts[*e.Index] = Verdict{Kind: Rejected, Reason: "Customer.io refused it: " + cut(strings.Join(words, ": "))}
	}
	return Reply{Do: Settle, Verdicts: verdicts}
}

// said gives the error message in a body, in whichever of Customer.io's
// envelopes it comes, or the beginning of the body.
func said(body []byte) string {
	var envelope struct {
		Errors []struct {
			Reason, Field, Message, Detail string
		}
		Meta struct {
			Error  string
			Errors []string
		}
	}
	if err := json.Unmarshal(body, &envelope); err == nil {
		var words []string
		for _, e := range envelope.Errors {
			for _, w := range []string{e.Reason, e.Field, e.Message, e.Detail} {
				if w != "" {
					words = append(words, w)
				}
			}
		}
		words = append(words, envelope.Meta.Errors...)
		if envelope.Meta.Error != "" {
			words = append(words, envelope.Meta.Error)
		}
		if len(words) > 0 {
			return ": " + cut(strings.Join(words, ": "))
		}
	}
	if body = bytes.TrimSpace(body); len(body) == 0 || string(body) == "{}" {
		return ""
	}
	return ": " + cut(strconv.QuoteToASCII(string(body[:min(len(body), maxReason)])))
}

func cut(s string) string {
	if len(s) <= maxReason {
		return s
	}
	return strings.ToValidUTF8(s[:maxReason], "") + "…"
}

// retryAfter reads seconds or a date.
func retryAfter(header http.Header, now time.Time) time.Duration {
	v := header.Get("Retry-After")
	if v == "" {
		return 0
	}
	d := time.Duration(0)
	if seconds, err := strconv.ParseFloat(v, 64); err == nil {
		d = time.Duration(min(max(seconds, 0), MaxRetryAfter.Seconds()) * float64(time.Second))
	} else if at, err := http.ParseTime(v); err == nil {
		d = at.Sub(now)
	}
	return min(max(d, 0), MaxRetryAfter)
}
