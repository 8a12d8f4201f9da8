package main

import (
	"io"
	"net"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pgcio/pgcio/internal/pgtest"
)

// network is a proxy before the database: what is connected through it can be
// cut, or go dead without a word.
type network struct {
	url string // of the database, through it

	mu    sync.Mutex
	links []*link
}

// link is a connection through the network.
type link struct {
	client, server net.Conn
	dead           atomic.Bool // nothing passes any more
}

func newNetwork(t *testing.T, db *pgtest.DB) *network {
	t.Helper()
	u, err := url.Parse(db.URL())
	if err != nil {
		t.Fatal(err)
	}
	to := u.Host
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	u.Host = l.Addr().String()
	n := &network{url: u.String()}
	t.Cleanup(func() {
		l.Close()
		n.cut()
	})
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", to)
			if err != nil {
				client.Close()
				continue
			}
			k := &link{client: client, server: server}
			n.mu.Lock()
			n.links = append(n.links, k)
			n.mu.Unlock()
			go k.pass(client, server)
			go k.pass(server, client)
		}
	}()
	return n
}

// pass copies from one side to the other; a dead link swallows everything, and
// keeps the end of one side from the other.
func (k *link) pass(from, to net.Conn) {
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if k.dead.Load() {
			_, _ = io.Copy(io.Discard, from)
			return
		}
		if _, werr := to.Write(buf[:n]); err != nil || werr != nil {
			from.Close()
			to.Close()
			return
		}
	}
}

// take hands over the links there are.
func (n *network) take() []*link {
	n.mu.Lock()
	defer n.mu.Unlock()
	links := slices.Clone(n.links)
	n.links = nil
	return links
}

// cut resets every connection.
func (n *network) cut() {
	for _, k := range n.take() {
		for _, c := range []net.Conn{k.client, k.server} {
			_ = c.(*net.TCPConn).SetLinger(0)
			c.Close()
		}
	}
}

// kill leaves every connection open, and nothing passes any more.
func (n *network) kill() []*link {
	links := n.take()
	for _, k := range links {
		k.dead.Store(true)
	}
	return links
}

// Connections that are cut, at any time, lose and double nothing.
func TestConnectionsThatAreCut(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t).DB()
	db.Exec(t, tradeSchema)
	n := newNetwork(t, db)
	r := newRig(t, db, tradeMappings)
	r.url = n.url
	d := r.start()
	d.caughtUp()
	w := newTrade(t, db, 4)
	stop := make(chan struct{})
	go func() {
		defer close(stop)
		for range size(10, 100) {
			time.Sleep(200 * time.Millisecond) // some of them while it connects
			n.cut()
		}
	}()
	w.until(t, stop, 2*time.Millisecond)
	r.judge(d.caughtUp(), false)
	d.stop()
}

// A connection that goes dead without a word is given up after a while (T18).
func TestConnectionsThatGoDead(t *testing.T) {
	if !long {
		t.Skip("it takes two minutes: make test-long")
	}
	t.Parallel()
	db := pgtest.New(t, pgtest.Options{Settings: map[string]string{"wal_sender_timeout": "30s"}}).DB()
	db.Exec(t, tradeSchema)
	n := newNetwork(t, db)
	r := newRig(t, db, tradeMappings)
	r.url = n.url
	d := r.start()
	d.caughtUp()
	w := newTrade(t, db, 5)
	dead := n.kill()
	if len(dead) < 2 {
		t.Fatalf("%d connections", len(dead))
	}
	for range 50 {
		if err := w.step(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	began := time.Now()
	r.judge(d.caughtUp(), false)
	t.Logf("it took %s", time.Since(began).Round(time.Second))
	d.stop()
}
