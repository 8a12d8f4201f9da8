package cdc

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pgcio/pgcio/internal/pgtest"
)

// T62: over an encrypted connection everything is as over another one, where
// reading is interrupted all the time; and a server that nobody vouches for is
// refused.
func TestEncrypted(t *testing.T) {
	cert, key := serverCertificate(t)
	db := pgtest.New(t, pgtest.Options{Settings: map[string]string{"ssl": "on"},
		Files: map[string]string{"server.crt": cert, "server.key": key}}).DB()
	root := filepath.Join(t.TempDir(), "root.crt")
	if err := os.WriteFile(root, []byte(cert), 0o600); err != nil {
		t.Fatal(err)
	}
	db.Exec(t, usersTable)
	cfg := config(t, db, "public.users")
	u, err := url.Parse(cfg.URL)
	if err != nil {
		t.Fatal(err)
	}
	u.RawQuery = url.Values{"sslmode": {"verify-full"}}.Encode()
	cfg.URL = u.String()
	if _, _, err := Setup(testContext(t), cfg); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Fatalf("a server of a certificate that nobody signed was taken: %v", err)
	}
	u.RawQuery = url.Values{"sslmode": {"verify-full"}, "sslrootcert": {root}}.Encode()
	cfg.URL = u.String()
	cfg.StatusInterval = 50 * time.Millisecond
	p := begin(t, cfg)
	db.Exec(t, `INSERT INTO users SELECT i, '', repeat('x', 1000) FROM generate_series(1, 5000) i`)
	p.until(func() bool {
		p.src.wake() // as Stored does, wherever the reader is
		return len(p.all) == 5000
	})
	p.all = nil
	if got := p.readAll(Want{Table: "public.users", Key: []string{"id"}, Limit: 1000}); len(got) != 5000 {
		t.Errorf("read %d rows", len(got))
	}
	if n := db.Value(t, `SELECT count(*) FROM pg_stat_ssl s JOIN pg_stat_replication r USING (pid) WHERE s.ssl`); n != "2" {
		t.Errorf("%s walsenders are encrypted, not 2", n)
	}
	if st := p.src.Status(); st.LastError != "" {
		t.Errorf("a connection was lost: %s", st.LastError)
	}
	if p.stop(); confirmed(t, db, p) != p.stored {
		t.Errorf("the slot is at %s, stored is %s", confirmed(t, db, p), p.stored)
	}
}

// serverCertificate is one for 127.0.0.1, signed by itself.
func serverCertificate(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	text := func(kind string, der []byte, err error) string {
		if err != nil {
			t.Fatal(err)
		}
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "pgcio test"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	cert = text("CERTIFICATE", der, err)
	der, err = x509.MarshalPKCS8PrivateKey(private)
	return cert, text("PRIVATE KEY", der, err)
}
