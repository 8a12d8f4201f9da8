package customerio

import (
	"math"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

const (
	page = "<!doctype html><title>Sign in</title>"
	v2   = `{"errors":[{"reason":"invalid","field":"attributes.plan","message":"too long"}]}`
)

// TestReadReply is the table over statuses and bodies: what each means for the
// operations of the request, one or three of them.
func TestReadReply(t *testing.T) {
	now := time.Date(2026, 2, 25, 10, 0, 0, 0, time.UTC)
	after := func(v string) http.Header { return http.Header{"Retry-After": {v}} }
	for _, c := range []struct {
		name   string
		status int
		header http.Header
		body   string
		n      int
		do     Do
		kinds  string // of the verdicts, when settled: a(ccepted), r(ejected)
		after  time.Duration
		reason string // a part of the reply's reason, or else of the rejected verdicts'
	}{
		{name: "accepted", status: 200, body: `{}`, n: 3, do: Settle, kinds: "aaa"},
		{name: "accepted, as it really comes", status: 200, body: "{}\n", n: 1, do: Settle, kinds: "a"},
		{name: "accepted, with more to say", status: 200, body: `{"meta":{}}`, n: 3, do: Settle, kinds: "aaa"},
		{name: "somebody else's page", status: 200, body: page, n: 3, do: Backoff, reason: "no JSON object"},
		{name: "cut off", status: 200, body: `{"me`, n: 3, do: Backoff, reason: "no JSON object"},
		{name: "no body", status: 200, body: ``, n: 3, do: Backoff, reason: "no JSON object"},
		{name: "only space", status: 200, body: " \n", n: 3, do: Backoff},
		{name: "an array", status: 200, body: `[]`, n: 3, do: Backoff},
		{name: "null", status: 200, body: `null`, n: 3, do: Backoff},
		{name: "a text", status: 200, body: `"ok"`, n: 3, do: Backoff},
		{name: "two objects", status: 200, body: `{}{}`, n: 3, do: Backoff},
		{name: "accepted, with a list of no errors", status: 200, body: `{"errors":[ ]}`, n: 3, do: Settle, kinds: "aaa"},
		{name: "accepted, with null for a list", status: 200, body: `{"errors":null}`, n: 1, do: Settle, kinds: "a"},
		{name: "200 that lists errors", status: 200, body: `{"errors":[{"batch_index":1,"message":"m"}]}`, n: 3, do: Settle, kinds: "ara"},
		{name: "200 with errors that make no sense", status: 200, body: `{"errors":[{"message":"m"}]}`, n: 3, do: Singly},
		{name: "200 with no list in errors", status: 200, body: `{"errors":"no"}`, n: 3, do: Singly},

		{name: "one refused", status: 207, body: `{"errors":[{"batch_index":1,"reason":"invalid","field":"attributes.plan","message":"too long"}]}`, n: 3, do: Settle, kinds: "ara", reason: "invalid: attributes.plan: too long"},
		{name: "first and last refused", status: 207, body: `{"errors":[{"batch_index":2},{"batch_index":0}]}`, n: 3, do: Settle, kinds: "rar"},
		{name: "all refused", status: 207, body: `{"errors":[{"batch_index":0,"message":"m"}]}`, n: 1, do: Settle, kinds: "r", reason: "m"},
		{name: "207 without a body", status: 207, body: ``, n: 3, do: Singly, reason: "cannot be read"},
		{name: "207 that is a page", status: 207, body: page, n: 3, do: Singly, reason: "Sign in"},
		{name: "207 cut off", status: 207, body: `{"errors":[{"batch_`, n: 3, do: Singly},
		{name: "207 without errors", status: 207, body: `{}`, n: 3, do: Singly},
		{name: "207 with an empty list", status: 207, body: `{"errors":[]}`, n: 3, do: Singly},
		{name: "207 with null", status: 207, body: `{"errors":null}`, n: 3, do: Singly},
		{name: "207 null", status: 207, body: `null`, n: 3, do: Singly},
		{name: "207 that is an array", status: 207, body: `[]`, n: 3, do: Singly},
		{name: "index missing", status: 207, body: `{"errors":[{"batch_index":0},{"message":"m"}]}`, n: 3, do: Singly, reason: "batch_index"},
		{name: "index null", status: 207, body: `{"errors":[{"batch_index":null}]}`, n: 3, do: Singly},
		{name: "index twice", status: 207, body: `{"errors":[{"batch_index":1},{"batch_index":1}]}`, n: 3, do: Singly},
		{name: "index past the batch", status: 207, body: `{"errors":[{"batch_index":3}]}`, n: 3, do: Singly},
		{name: "index below", status: 207, body: `{"errors":[{"batch_index":-1}]}`, n: 3, do: Singly},
		{name: "index no number", status: 207, body: `{"errors":[{"batch_index":"1"}]}`, n: 3, do: Singly},
		{name: "index no integer", status: 207, body: `{"errors":[{"batch_index":1.5}]}`, n: 3, do: Singly},

		{name: "400, alone", status: 400, body: v2, n: 1, do: Settle, kinds: "r", reason: "invalid: attributes.plan: too long"},
		{name: "400, of several", status: 400, body: v2, n: 3, do: Bisect, reason: "too long"},
		{name: "400 in the words of v1", status: 400, body: `{"meta":{"errors":["id missing","name blank"]}}`, n: 1, do: Settle, kinds: "r", reason: "id missing: name blank"},
		{name: "400 in the words of merge", status: 400, body: `{"meta":{"error":"no"}}`, n: 1, do: Settle, kinds: "r", reason: "answered 400: no"},
		{name: "400 in the words of the App API", status: 400, body: `{"errors":[{"detail":"not so","status":"400"}]}`, n: 1, do: Settle, kinds: "r", reason: "not so"},
		{name: "400 without words", status: 400, n: 1, do: Settle, kinds: "r", reason: "answered 400"},
		{name: "400 that is a page", status: 400, body: page, n: 1, do: Settle, kinds: "r", reason: "Sign in"},
		{name: "422, alone", status: 422, body: v2, n: 1, do: Settle, kinds: "r", reason: "too long"},
		{name: "422, of several", status: 422, body: v2, n: 2, do: Bisect},
		{name: "413, alone", status: 413, n: 1, do: Settle, kinds: "r", reason: "413"},
		{name: "413, of several", status: 413, body: page, n: 3, do: Bisect},

		{name: "401", status: 401, n: 3, do: Stop, reason: "401"},
		{name: "401, alone", status: 401, n: 1, do: Stop},
		{name: "402", status: 402, n: 1, do: Stop},
		{name: "403", status: 403, body: v2, n: 3, do: Stop, reason: "403"},
		{name: "404", status: 404, body: page, n: 1, do: Stop, reason: "404"},
		{name: "405", status: 405, n: 1, do: Stop},
		{name: "407", status: 407, n: 1, do: Stop},
		{name: "409", status: 409, n: 1, do: Stop},
		{name: "410", status: 410, n: 1, do: Stop},
		{name: "415", status: 415, n: 3, do: Stop},
		{name: "418", status: 418, n: 1, do: Stop},
		{name: "451", status: 451, n: 1, do: Stop},
		{name: "499", status: 499, n: 1, do: Stop},
		{name: "301", status: 301, header: http.Header{"Location": {"https://track-eu.customer.io/"}}, n: 3, do: Stop, reason: "https://track-eu.customer.io/"},
		{name: "302", status: 302, n: 1, do: Stop},
		{name: "304", status: 304, n: 1, do: Stop},
		{name: "307", status: 307, header: http.Header{"Location": {"/x"}}, body: `{}`, n: 1, do: Stop, reason: "redirect"},
		{name: "308", status: 308, n: 3, do: Stop},

		{name: "408", status: 408, n: 3, do: Backoff},
		{name: "425", status: 425, n: 3, do: Backoff},
		{name: "429", status: 429, n: 3, do: Backoff, reason: "429"},
		{name: "429 in seconds", status: 429, header: after("7"), n: 1, do: Backoff, after: 7 * time.Second},
		{name: "429 in parts of one", status: 429, header: after("0.5"), n: 1, do: Backoff, after: 500 * time.Millisecond},
		{name: "429 at a date", status: 429, header: after("Wed, 25 Feb 2026 10:00:30 GMT"), n: 1, do: Backoff, after: 30 * time.Second},
		{name: "429 at a date gone by", status: 429, header: after("Wed, 25 Feb 2026 09:00:00 GMT"), n: 1, do: Backoff},
		{name: "429 in a year", status: 429, header: after("31536000"), n: 1, do: Backoff, after: MaxRetryAfter},
		{name: "429 at a date in a year", status: 429, header: after("Thu, 25 Feb 2027 10:00:00 GMT"), n: 1, do: Backoff, after: MaxRetryAfter},
		{name: "429 never", status: 429, header: after("1e400"), n: 1, do: Backoff, after: 0},
		{name: "429 after infinity", status: 429, header: after("Inf"), n: 1, do: Backoff, after: MaxRetryAfter},
		{name: "429 before", status: 429, header: after("-5"), n: 1, do: Backoff},
		{name: "429 soon", status: 429, header: after("soon"), n: 1, do: Backoff},
		{name: "429 that names none", status: 429, header: http.Header{}, body: v2, n: 3, do: Backoff, reason: "too long"},
		{name: "500", status: 500, body: v2, n: 1, do: Backoff, reason: "500"},
		{name: "501", status: 501, n: 1, do: Backoff},
		{name: "502", status: 502, body: page, n: 3, do: Backoff, reason: "Sign in"},
		{name: "503", status: 503, header: after("2"), n: 3, do: Backoff, after: 2 * time.Second},
		{name: "504", status: 504, n: 1, do: Backoff},
		{name: "522", status: 522, n: 3, do: Backoff},
		{name: "524", status: 524, n: 1, do: Backoff},
		{name: "599", status: 599, n: 1, do: Backoff},
		{name: "beyond", status: 700, n: 1, do: Backoff},

		// What Customer.io never says of itself says nothing of the operations.
		{name: "100", status: 100, n: 1, do: Backoff},
		{name: "103", status: 103, body: `{}`, n: 1, do: Backoff},
		{name: "201", status: 201, body: `{}`, n: 1, do: Backoff, reason: "201"},
		{name: "202", status: 202, body: `{}`, n: 3, do: Backoff},
		{name: "204", status: 204, n: 3, do: Backoff},
		{name: "206", status: 206, body: `{}`, n: 3, do: Backoff},
		{name: "0", status: 0, n: 1, do: Backoff},
		{name: "below", status: -1, n: 1, do: Backoff},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := ReadReply(c.status, c.header, []byte(c.body), c.n, now)
			if r.Do != c.do {
				t.Fatalf("do %d, want %d: %+v", r.Do, c.do, r)
			}
			kinds, reasons := "", r.Reason
			for _, v := range r.Verdicts {
				kinds += map[VerdictKind]string{Accepted: "a", Rejected: "r"}[v.Kind]
				reasons += " " + v.Reason
				if v.Kind == Rejected && v.Reason == "" {
					t.Error("a refused operation has no reason")
				}
			}
			if kinds != c.kinds {
				t.Errorf("verdicts %q, want %q", kinds, c.kinds)
			}
			if r.After != c.after {
				t.Errorf("after %s, want %s", r.After, c.after)
			}
			if !strings.Contains(reasons, c.reason) {
				t.Errorf("the reason is %q, want %q in it", reasons, c.reason)
			}
			if r.Do != Settle && r.Reason == "" {
				t.Error("nothing says why")
			}
		})
	}
}

// TestReadReplyIsTotal: any status with any body means something, and a settled
// request has one verdict for each operation, none of them a retry.
func TestReadReplyIsTotal(t *testing.T) {
	index := rapid.Map(rapid.SampledFrom([]int{0, 1, 2, -1, 3, math.MaxInt32}), strconv.Itoa)
	body := rapid.OneOf(
		hostile(),
		rapid.Map(jsonValue(), func(b []byte) string { return string(b) }),
		rapid.SampledFrom([]string{"{}\n", v2, page, `{"errors":{}}`, `{"errors":[1]}`, `{"errors":[null]}`, `{"meta":"x"}`, `{"meta":{"error":1}}`, strings.Repeat("[", 20000), "\"" + strings.Repeat("\xff", 1000)}),
		rapid.Map(rapid.SliceOfN(index, 0, 4), func(is []string) string {
			return `{"errors":[{"batch_index":` + strings.Join(is, `},{"batch_index":`) + `}]}`
		}),
	)
	rapid.Check(t, func(t *rapid.T) {
		status := rapid.OneOf(rapid.IntRange(-1, 1000), rapid.SampledFrom([]int{200, 207, 400, 413, 422, 429, 503})).Draw(t, "status")
		header := http.Header{"Retry-After": {rapid.OneOf(hostile(), rapid.Map(rapid.Float64(), func(f float64) string { return strconv.FormatFloat(f, 'g', -1, 64) })).Draw(t, "retry after")}}
		n := rapid.IntRange(1, 5).Draw(t, "operations")
		r := ReadReply(status, header, []byte(body.Draw(t, "body")), n, time.Unix(1772013598, 0))
		if r.After < 0 || r.After > MaxRetryAfter {
			t.Fatalf("after %s", r.After)
		}
		if len(r.Reason) > 2*maxReason {
			t.Fatalf("a reason of %d bytes", len(r.Reason))
		}
		if r.Do == Bisect && n == 1 {
			t.Fatal("one operation cannot be bisected")
		}
		if r.Do != Settle {
			if r.Verdicts != nil {
				t.Fatalf("%d with verdicts", r.Do)
			}
			return
		}
		if len(r.Verdicts) != n {
			t.Fatalf("%d verdicts for %d operations", len(r.Verdicts), n)
		}
		for _, v := range r.Verdicts {
			if v.Kind != Accepted && v.Kind != Rejected {
				t.Fatal("settled without a verdict")
			}
			if v.Kind == Accepted && status != 200 && status != 207 {
				t.Fatalf("%d took an operation for accepted", status)
			}
		}
	})
}

func TestRetryAfterThatIsNoNumber(t *testing.T) {
	for _, v := range []string{"NaN", "-Inf", "+Inf", "0x10", "1_0", "١"} {
		if d := retryAfter(http.Header{"Retry-After": {v}}, time.Now()); d < 0 || d > MaxRetryAfter {
			t.Errorf("Retry-After %s is %s", v, d)
		}
	}
}
