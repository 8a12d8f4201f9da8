package sink

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/pgcio/pgcio/internal/customerio"
)

// requestTimeout bounds one request, from dialling to the last byte of the
// reply: what Customer.io's own Go client uses.
const requestTimeout = 30 * time.Second

// maxReply bounds what is read of a reply. The largest that means anything
// lists an error for each of 1,000 operations.
const maxReply = 4 << 20

// client makes the HTTP requests of one workspace.
type client struct {
	http    *http.Client
	track   string // base URL
	app     string
	siteID  string
	key     string
	appKey  string
	agent   string
	observe func(api string, code int, took time.Duration)
}

func newClient(cfg *Config) *client {
	transport := cfg.Transport
	if transport == nil {
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.MaxIdleConnsPerHost = maxInFlight
		transport = t
	}
	observe := cfg.Observe
	if observe == nil {
		observe = func(string, int, time.Duration) {}
	}
	return &client{
		http: &http.Client{
			Transport: transport,
			Timeout:   requestTimeout,
			// A followed 301 would turn the POST into a GET without a body, and a
			// 307 would carry people's data to another region.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		track: strings.TrimRight(cfg.TrackURL, "/"), app: strings.TrimRight(cfg.AppURL, "/"),
		siteID: cfg.SiteID, key: cfg.TrackAPIKey, appKey: cfg.AppAPIKey, agent: cfg.UserAgent, observe: observe,
	}
}

// response is what came back, read to its end.
type response struct {
	status int
	header http.Header
	body   []byte
}

func (c *client) do(req *http.Request, api string) (response, error) {
	if c.agent != "" {
		req.Header.Set("User-Agent", c.agent)
	}
	start := time.Now()
	res, err := c.http.Do(req)
	if err != nil {
		c.observe(api, 0, time.Since(start))
		return response{}, plain(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxReply))
	c.observe(api, res.StatusCode, time.Since(start))
	if err != nil {
		// The status is known, the body is not: whoever reads the reply decides.
		body = nil
		if res.StatusCode < 300 {
			return response{}, fmt.Errorf("read the reply: %w", plain(err))
		}
	}
	return response{res.StatusCode, res.Header, body}, nil
}

// plain takes the method and the URL out of an error of net/http: they say
// nothing new, and a URL may carry what should not be logged.
func plain(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

func (c *client) send(ctx context.Context, path string, body []byte) (response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.track+path, bytes.NewReader(body))
	if err != nil {
		return response{}, err
	}
	req.SetBasicAuth(c.siteID, c.key)
	req.Header.Set("Content-Type", "application/json")
	return c.do(req, "track")
}

// Region is what the region endpoint says of a workspace.
type Region struct {
	URL         string `json:"url"`
	Region      string `json:"region"`
	Environment int64  `json:"environment_id"`
}

// refusedError says that credentials or address are wrong: to be tried again
// later, but not the fault of anything that is sent.
type refusedError struct{ reason string }

func (e *refusedError) Error() string { return e.reason }

// laterError says that Customer.io asked to be left alone for a while.
type laterError struct {
	reason string
	after  time.Duration
}

func (e *laterError) Error() string { return e.reason }

func (c *client) region(ctx context.Context) (Region, error) {
	var region Region
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.track+"/api/v1/accounts/region", nil)
	if err != nil {
		return region, err
	}
	req.SetBasicAuth(c.siteID, c.key)
	res, err := c.do(req, "track")
	if err != nil {
		return region, err
	}
	if res.status != http.StatusOK {
		return region, res.problem()
	}
	if err := json.Unmarshal(res.body, &region); err != nil || region.Environment == 0 {
		return region, fmt.Errorf("the region endpoint answered with something else: %.100q", res.body)
	}
	return region, nil
}

// identifierEnabled asks the App API whether people can be named by this kind
// of identifier: it answers 400 where they cannot.
func (c *client) identifierEnabled(ctx context.Context, t customerio.IdentifierType) (bool, error) {
	res, err := c.getApp(ctx, "/v1/customers/"+escape("pgcio-check-unknown")+"/attributes?id_type="+t.String())
	if err != nil {
		return false, err
	}
	switch res.status {
	case http.StatusOK, http.StatusNotFound:
		return true, nil
	case http.StatusBadRequest:
		return false, nil
	}
	return false, res.problem()
}

// objectTypes asks the App API which types of custom object there are, by number.
func (c *client) objectTypes(ctx context.Context) ([]string, error) {
	res, err := c.getApp(ctx, "/v1/object_types")
	if err != nil {
		return nil, err
	}
	if res.status != http.StatusOK {
		return nil, res.problem()
	}
	var list struct {
		Types []struct {
			ID json.RawMessage `json:"id"` // documented as a text, and a number all the same
		} `json:"types"`
	}
	if err := json.Unmarshal(res.body, &list); err != nil {
		return nil, fmt.Errorf("the list of object types is something else: %.100q", res.body)
	}
	types := make([]string, 0, len(list.Types))
	for _, t := range list.Types {
		types = append(types, strings.Trim(string(t.ID), `"`))
	}
	return types, nil
}

func (c *client) getApp(ctx context.Context, path string) (response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.app+path, nil)
	if err != nil {
		return response{}, err
	}
	req.Header.Set("Authorization", "Bearer "+c.appKey)
	return c.do(req, "app")
}

// problem is what a reply means that does not say what was asked.
func (r *response) problem() error {
	reply := customerio.ReadReply(r.status, r.header, r.body, 1, time.Now())
	if reply.Do == customerio.Stop {
		return &refusedError{reply.Reason}
	}
	return &laterError{reply.Reason, reply.After}
}

// escape percent-encodes everything that Customer.io's pages ask to have
// encoded in a path, which is more than net/url encodes.
func escape(s string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.IndexByte("-._~", c) >= 0:
			b.WriteByte(c)
		default:
			b.WriteByte('%')
			b.WriteByte(hex[c>>4])
			b.WriteByte(hex[c&15])
		}
	}
	return b.String()
}
