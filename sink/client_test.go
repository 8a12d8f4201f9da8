package sink

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pgcio/pgcio/internal/customerio"
	"github.com/pgcio/pgcio/internal/simulator"
)

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func answers(status int, body io.Reader) *http.Response {
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(body)}
}

func TestRequestForm(t *testing.T) {
	var got *http.Request
	var body string
	observed := map[int]string{}
	c := newClient(&Config{
		TrackURL: "https://track.test/base/", SiteID: "site", TrackAPIKey: "key", UserAgent: "pgcio/1",
		Observe: func(api string, code int, _ time.Duration) { observed[code] = api },
		Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			got = r
			b, err := io.ReadAll(r.Body)
			body = string(b)
			return answers(200, strings.NewReader("{}\n")), err
		}),
	})
	res, err := c.send(t.Context(), "/api/v2/batch", []byte(`{"batch":[]}`))
	if err != nil || res.status != 200 || string(res.body) != "{}\n" {
		t.Fatalf("%+v, %v", res, err)
	}
	user, password, ok := got.BasicAuth()
	if !ok || user != "site" || password != "key" {
		t.Errorf("credentials %q %q %t", user, password, ok)
	}
	if got.Method != http.MethodPost || got.URL.String() != "https://track.test/base/api/v2/batch" || body != `{"batch":[]}` || got.ContentLength != 12 {
		t.Errorf("%s %s %q of %d bytes", got.Method, got.URL, body, got.ContentLength)
	}
	if got.Header.Get("Content-Type") != "application/json" || got.Header.Get("User-Agent") != "pgcio/1" {
		t.Errorf("headers %v", got.Header)
	}
	if observed[200] != "track" {
		t.Errorf("observed %v", observed)
	}
}

// TestRedirectsAreNeverFollowed: over real connections, and whatever the kind.
func TestRedirectsAreNeverFollowed(t *testing.T) {
	var followed atomic.Int32
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { followed.Add(1) }))
	defer elsewhere.Close()
	for _, status := range []int{301, 302, 303, 307, 308} {
		server := httptest.NewServer(http.RedirectHandler(elsewhere.URL+"/api/v2/batch", status))
		c := newClient(&Config{TrackURL: server.URL, SiteID: "site", TrackAPIKey: "key"})
		res, err := c.send(t.Context(), "/api/v2/batch", []byte(`{"batch":[]}`))
		if err != nil || res.status != status {
			t.Errorf("%d: %+v, %v", status, res, err)
		}
		if reply := customerio.ReadReply(res.status, res.header, res.body, 1, time.Now()); reply.Do != customerio.Stop || !strings.Contains(reply.Reason, elsewhere.URL) {
			t.Errorf("%d: %+v", status, reply)
		}
		c.http.CloseIdleConnections()
		server.Close()
	}
	if n := followed.Load(); n > 0 {
		t.Errorf("%d redirects were followed", n)
	}
}

// TestRequestsEndAfterThirtySeconds: also when the reply has begun.
func TestRequestsEndAfterThirtySeconds(t *testing.T) {
	never := func(r *http.Request) (*http.Response, error) {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	for name, transport := range map[string]roundTrip{
		"no reply": never,
		"half a reply": func(r *http.Request) (*http.Response, error) {
			return answers(200, io.MultiReader(strings.NewReader("{"), readerFunc(func([]byte) (int, error) {
				_, err := never(r)
				return 0, err
			}))), nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newClient(&Config{TrackURL: "http://track.test", Transport: transport})
				began := time.Now()
				_, err := c.send(t.Context(), "/api/v2/batch", nil)
				if took := time.Since(began); err == nil || took != 30*time.Second {
					t.Errorf("after %s: %v", took, err)
				}
			})
		})
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// TestHalfARefusalIsStillARefusal: of a reply whose body breaks off the status
// counts, unless it was success, of which the body is the proof.
func TestHalfARefusalIsStillARefusal(t *testing.T) {
	broken := errors.New("connection reset")
	for status, lost := range map[int]bool{200: true, 207: true, 400: false, 429: false, 503: false} {
		c := newClient(&Config{TrackURL: "http://track.test", Transport: roundTrip(func(*http.Request) (*http.Response, error) {
			return answers(status, io.MultiReader(strings.NewReader(`{"err`), readerFunc(func([]byte) (int, error) { return 0, broken }))), nil
		})})
		res, err := c.send(t.Context(), "/", nil)
		if lost != (err != nil) || lost && !errors.Is(err, broken) || !lost && res.status != status {
			t.Errorf("%d: %+v, %v", status, res, err)
		}
	}
}

// TestErrorsTellNoSecrets: a proxy's URL may carry credentials.
func TestErrorsTellNoSecrets(t *testing.T) {
	c := newClient(&Config{TrackURL: "http://user:hunter2@track.test", SiteID: "site", TrackAPIKey: "hunter3", Transport: roundTrip(func(*http.Request) (*http.Response, error) {
		return nil, errors.New("connection refused")
	})})
	_, err := c.send(t.Context(), "/api/v2/batch", nil)
	if err == nil || strings.Contains(err.Error(), "hunter") {
		t.Errorf("the error is %v", err)
	}
}

func TestRegion(t *testing.T) {
	sim, err := simulator.New(simulator.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer sim.Close()
	ws := simulator.DefaultWorkspace()
	s := New(Config{TrackURL: "http://track.test", AppURL: "http://app.test", SiteID: ws.SiteID, TrackAPIKey: ws.TrackKey, AppAPIKey: ws.AppKey, RequestsPerSecond: 1, Transport: sim.Transport()})
	region, err := s.Region(t.Context())
	if err != nil || region.Region != "us" || region.Environment != ws.EnvironmentID || !strings.HasPrefix(region.URL, "https://track") {
		t.Errorf("%+v, %v", region, err)
	}
	wrong := New(Config{TrackURL: "http://track.test", SiteID: ws.SiteID, TrackAPIKey: "wrong", RequestsPerSecond: 1, Transport: sim.Transport()})
	var refused *refusedError
	if _, err := wrong.Region(t.Context()); !errors.As(err, &refused) {
		t.Errorf("wrong credentials: %v", err)
	}
	other := New(Config{RequestsPerSecond: 1, Transport: roundTrip(func(*http.Request) (*http.Response, error) { return answers(200, strings.NewReader("<p>hello")), nil })})
	if _, err := other.Region(t.Context()); err == nil || errors.As(err, &refused) {
		t.Errorf("a page of somebody else's: %v", err)
	}
}

func TestIdentifierEnabled(t *testing.T) {
	sim, err := simulator.New(simulator.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer sim.Close()
	s := New(Config{AppURL: "http://app.test", AppAPIKey: simulator.DefaultWorkspace().AppKey, RequestsPerSecond: 1, Transport: sim.Transport()})
	for kind, want := range map[customerio.IdentifierType]bool{customerio.ID: true, customerio.Email: true, customerio.Phone: false} {
		if got, err := s.IdentifierEnabled(t.Context(), kind); err != nil || got != want {
			t.Errorf("%s: %t, %v", kind, got, err)
		}
	}
	s = New(Config{AppURL: "http://app.test", AppAPIKey: "wrong", RequestsPerSecond: 1, Transport: sim.Transport()})
	if _, err := s.IdentifierEnabled(t.Context(), customerio.ID); err == nil {
		t.Error("a wrong key is believed")
	}
}

// TestRefusedMeansCredentials: who is only busy or broken has not judged them.
func TestRefusedMeansCredentials(t *testing.T) {
	for status, want := range map[int]bool{401: true, 403: true, 404: true, 307: true, 408: false, 429: false, 500: false, 503: false} {
		s := New(Config{RequestsPerSecond: 1, Transport: roundTrip(func(*http.Request) (*http.Response, error) { return answers(status, strings.NewReader("")), nil })})
		if _, err := s.Region(t.Context()); err == nil || Refused(err) != want {
			t.Errorf("region, %d: %v", status, err)
		}
		if status == 404 {
			continue // the person that is asked for
		}
		if _, err := s.IdentifierEnabled(t.Context(), customerio.ID); err == nil || Refused(err) != want {
			t.Errorf("identifier, %d: %v", status, err)
		}
	}
}

func TestEscapeEncodesWhatCustomerIOAsksFor(t *testing.T) {
	if got, want := escape("a-b._~0 +@&/é%"), "a-b._~0%20%2B%40%26%2F%C3%A9%25"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestStatusBeforeRun(t *testing.T) {
	s := New(Config{RequestsPerSecond: 7})
	if st := s.Status(); st.State != "waiting" || st.RequestsPerSecond != 7 || st.Verified {
		t.Errorf("%+v", st)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s = New(Config{RequestsPerSecond: 7, Transport: roundTrip(func(r *http.Request) (*http.Response, error) { return nil, r.Context().Err() })})
	if err := s.Run(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Run ended with %v", err)
	}
}
