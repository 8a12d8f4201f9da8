package cdc

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Severity says how bad a finding is.
type Severity int

// The severities.
const (
	OK      Severity = iota // a fact worth showing
	Warning                 // works, but should be known
	Failure                 // does not work, or loses something
)

func (s Severity) String() string { return [...]string{"ok", "warning", "error"}[s] }

// Finding is one thing that Inspect found out.
type Finding struct {
	Severity Severity
	Subject  string // "wal_level", "table public.users"
	Problem  string // or the fact
	Fix      string // one line, SQL or a command; empty: nothing to do
}

// inspection gathers findings about one server.
type inspection struct {
	cfg     Config
	columns map[string][]string // mapped columns of a table
	kept    Kept
	s       *session
	found   []Finding

	tables   map[string]*Table // as described
	problems []error           // tables that cannot be described
	verified error             // whether what follows on the state can be read

	role  string
	slot  slotRow
	pub   publicationRow
	local bool
}

func (i *inspection) add(severity Severity, subject, fix, problem string, args ...any) {
	i.found = append(i.found, Finding{severity, subject, fmt.Sprintf(problem, args...), fix})
}

// Kept says for Inspect what state there is beside the slot. The zero Kept:
// nobody could look, or it does not matter.
type Kept struct {
	Resume *Resume // of a state that belongs to a source
	None   bool    // there is no state, or one that belongs to no source
	Path   string  // where it was looked for, for people
}

// Inspect finds out whether the source can be followed, what loses changes, and
// what would break the application (T24, T26, T27, T35, T37 to T39, T47, T62).
// columns are the mapped columns of each of cfg.Tables, where they are known:
// others are not judged.
// It changes nothing. What cannot be asked is a finding, too; the error is that
// of an unusable ctx.
func Inspect(ctx context.Context, cfg Config, columns map[string][]string, kept Kept) ([]Finding, error) {
	i := &inspection{cfg: cfg.withDefaults(), columns: columns, kept: kept}
	s, err := connect(ctx, i.cfg, ordinary)
	if err != nil {
		i.add(Failure, "connection", "correct postgres.url, and let the server's pg_hba.conf admit the role", "%v", err)
		return i.found, ctx.Err()
	}
	defer s.close()
	i.s = s
	for _, check := range []struct {
		what string
		do   func(context.Context) error
	}{
		{"connection", i.connection}, {"server", i.server}, {"role", i.privileges}, {"replication", i.replication},
		{"slot", i.slots}, {"tables", i.describe}, {"publication", i.publication}, {"tables", i.eachTable},
	} {
		if err := check.do(ctx); err != nil {
			if ctx.Err() != nil {
				return i.found, ctx.Err()
			}
			i.add(Failure, check.what, "", "cannot be looked at: %v", err)
		}
	}
	return i.found, nil
}

// maxSkew is the difference between clocks that is worth a word: identify
// timestamps have seconds.
const maxSkew = 2 * time.Second

func (i *inspection) connection(ctx context.Context) error {
	pc, err := parseURL(i.cfg.URL)
	if err != nil {
		return err
	}
	i.local = isLocal(pc)
	before := time.Now()
	r, err := i.s.query(ctx, `SELECT pg_backend_pid(), coalesce((SELECT ssl::text || ' ' || coalesce(version, '') FROM pg_stat_ssl WHERE pid = pg_backend_pid()), 'false'),
		(extract(epoch FROM clock_timestamp()) * 1000000)::int8, current_user, pg_is_in_recovery(), pg_encoding_to_char(encoding)
		FROM pg_database WHERE datname = current_database()`)
	if err != nil {
		return err
	}
	after := time.Now()
	i.role = r.text(0, 3)
	if r.int(0, 0) != int64(i.s.PID()) {
		i.add(Failure, "connection", "point postgres.url at the server itself", "there is a connection pooler between: replication and snapshots do not survive one")
	}
	ssl, version, _ := strings.Cut(r.text(0, 1), " ")
	switch {
	case ssl == "true" && pc.TLSConfig != nil && pc.TLSConfig.InsecureSkipVerify && pc.TLSConfig.VerifyPeerCertificate == nil && pc.TLSConfig.VerifyConnection == nil:
		i.add(Warning, "tls", "sslmode=verify-full in postgres.url", "encrypted (%s), but nobody verifies whose server it is", version)
	case ssl == "true":
		i.add(OK, "tls", "", "encrypted and verified (%s)", version)
	case i.local:
		i.add(OK, "tls", "", "not needed: the server is on this machine")
	default:
		i.add(Failure, "tls", "sslmode=verify-full in postgres.url", "rows and password cross the network unencrypted")
	}
	// The server's clock was read somewhere between before and after.
	at := time.UnixMicro(r.int(0, 2))
	switch {
	case at.Before(before.Add(-maxSkew)):
		i.add(Warning, "clock", "keep both clocks by NTP", "the server's clock is %s behind this machine's", before.Sub(at).Round(time.Second))
	case at.After(after.Add(maxSkew)):
		i.add(Warning, "clock", "keep both clocks by NTP", "the server's clock is %s ahead of this machine's", at.Sub(after).Round(time.Second))
	}
	if r.bool(0, 4) {
		severity := Warning
		if i.s.version < 160000 {
			severity = Failure // logical decoding on standbys came with 16
		}
		i.add(severity, "server", "point postgres.url at the primary", "this is a standby")
	}
	switch encoding := r.text(0, 5); encoding {
	case "UTF8", "LATIN1": // all of which has an equivalent in UTF-8
	case "SQL_ASCII":
		i.add(Warning, "encoding", "", "the database is SQL_ASCII: text that is not UTF-8 cannot be sent as it is")
	default:
		i.add(Warning, "encoding", "", "the database is %s: at a change with a byte that has no equivalent in UTF-8 Postgres ends the stream, each time", encoding)
	}
	return nil
}

func (i *inspection) server(ctx context.Context) error {
	r, err := i.s.query(ctx, `SELECT name, setting FROM pg_settings WHERE name IN ('server_version', 'max_wal_senders',
		'max_slot_wal_keep_size', 'wal_sender_timeout', 'idle_replication_slot_timeout')`)
	if err != nil {
		return err
	}
	set := map[string]string{}
	for n := range r {
		set[r.text(n, 0)] = r.text(n, 1)
	}
	if i.s.version < 130000 {
		i.add(Failure, "server", "upgrade to Postgres 13 or later", "Postgres %s is too old: it has no 64-bit snapshots", set["server_version"])
	} else {
		i.add(OK, "server", "", "Postgres %s", set["server_version"])
	}
	if set["max_slot_wal_keep_size"] == "-1" {
		i.add(Warning, "max_slot_wal_keep_size", "ALTER SYSTEM SET max_slot_wal_keep_size = '50GB'; SELECT pg_reload_conf();", "nothing bounds the WAL that is kept while pgcio is away: it may fill the disk")
	}
	if set["wal_sender_timeout"] == "0" {
		i.add(Warning, "wal_sender_timeout", "ALTER SYSTEM SET wal_sender_timeout = '60s'; SELECT pg_reload_conf();", "it is off: after a lost connection the slot may stay in use for hours")
	}
	if v := set["idle_replication_slot_timeout"]; v != "" && v != "0" {
		i.add(Warning, "idle_replication_slot_timeout", "ALTER SYSTEM SET idle_replication_slot_timeout = 0; SELECT pg_reload_conf();", "Postgres drops what the slot needs when pgcio is away for %s seconds", v)
	}
	r, err = i.s.query(ctx, `SELECT count(*) FROM pg_stat_replication`)
	if err != nil {
		return err
	}
	if i.slot, err = readSlot(ctx, i.s, i.cfg.Slot); err != nil {
		return err
	}
	var senders int64
	_, _ = fmt.Sscan(set["max_wal_senders"], &senders)
	if !i.slot.Exists {
		lacks, err := room(ctx, i.s)
		if err != nil {
			return err
		}
		for _, l := range lacks {
			i.add(Failure, l.Subject, l.Fix, "%s", l.Problem)
		}
	}
	// One streams, one notices a shutdown; a daemon that runs has its own.
	if free := senders - r.int(0, 0); free < 2 && i.slot.ActivePID == 0 {
		i.add(Failure, "max_wal_senders", fmt.Sprintf("ALTER SYSTEM SET max_wal_senders = %d; then restart Postgres", senders+2), "%d of %d are free, and pgcio needs two", max(0, free), senders)
	}
	return nil
}

func (i *inspection) privileges(ctx context.Context) error {
	r, err := i.s.query(ctx, `SELECT rolsuper, rolreplication, EXISTS (SELECT FROM pg_roles p WHERE p.rolname = 'rds_replication' AND pg_has_role(p.oid, 'USAGE'))
		FROM pg_roles WHERE rolname = current_user`)
	if err != nil {
		return err
	}
	switch {
	case r.bool(0, 1) || r.bool(0, 2):
		i.add(OK, "role", "", "%s may replicate", i.role)
	case r.bool(0, 0):
		i.add(Warning, "role", "CREATE ROLE pgcio LOGIN REPLICATION; (see pgcio setup --print)", "%s is a superuser: pgcio needs much less", i.role)
	default:
		i.add(Failure, "role", fmt.Sprintf("ALTER ROLE %s REPLICATION; (Amazon RDS: GRANT rds_replication TO %s;)", quoteIdent(i.role), quoteIdent(i.role)), "%s may not replicate", i.role)
	}
	return nil
}

// replication tries what the daemon does first.
func (i *inspection) replication(ctx context.Context) error {
	s, err := connect(ctx, i.cfg, replicating)
	if err != nil {
		i.add(Failure, "replication", "let pg_hba.conf admit the role (a database of its name, not only `replication`), and give it REPLICATION", "no replication connection: %v", err)
		return nil
	}
	defer s.close()
	id, _, err := identify(ctx, s, Config{})
	if err != nil {
		return err
	}
	if pin := i.cfg.SystemID; pin != "" && pin != id.SystemID {
		i.add(Failure, "system_id", "correct postgres.url, or postgres.system_id if the data did move", "the cluster is %s, pinned is %s", id.SystemID, pin)
	} else {
		i.add(OK, "system_id", "", "to refuse any other cluster: system_id = %q", id.SystemID)
	}
	if r := i.kept.Resume; r != nil {
		unpinned := i.cfg
		unpinned.SystemID = ""
		_, i.verified = verify(ctx, s, unpinned, r.Identity, position{r.Stored, r.Open})
	}
	return nil
}

// oldTransaction is the age from which on an open transaction is worth a word.
const oldTransaction = time.Minute

func (i *inspection) slots(ctx context.Context) error {
	slot, subject := i.slot, "slot "+i.cfg.Slot
	var lost lostError
	switch err := i.verified; {
	case errors.As(err, &lost):
		problem, fix := lost.parts()
		i.add(Failure, subject, fix, "%s", problem)
		return nil
	case err != nil && !errors.As(err, new(*busyError)):
		return err
	}
	if !slot.Exists {
		if r := i.kept.Resume; r != nil { // of which a replication connection would have told more
			problem, fix := slotGone(i.cfg, r.Stored).parts()
			i.add(Failure, subject, fix, "%s", problem)
			return nil
		}
		i.add(OK, subject, "", "does not exist yet: pgcio setup, or the first pgcio run, makes it")
		all, err := readBlockers(ctx, i.s, true, i.s.PID())
		if err != nil {
			return err
		}
		for _, b := range all {
			if b.Age >= oldTransaction {
				i.add(Warning, subject, "", "making it would wait for %s", b)
			}
		}
		return nil
	}
	var database string
	if r, err := i.s.query(ctx, "SELECT current_database()"); err != nil {
		return err
	} else {
		database = r.text(0, 0)
	}
	if err := slot.lost(i.cfg, slot.Confirmed); err != nil {
		i.add(Failure, subject, startOver, "%v", err)
		return nil
	}
	if slot.Type != "logical" || slot.Plugin != "pgoutput" || slot.Database != database {
		i.add(Failure, subject, "choose another name for postgres.slot", "is somebody else's: a %s slot with plugin %q in database %q", slot.Type, slot.Plugin, slot.Database)
		return nil
	}
	if i.kept.None {
		problem, fix := NoState(i.cfg, i.kept.Path, slot.ActivePID).parts()
		i.add(Failure, subject, fix, "%s", problem)
		return nil
	}
	holder := "nobody"
	if slot.ActivePID != 0 {
		holder = fmt.Sprintf("process %d (%s)", slot.ActivePID, slot.Holder)
	}
	safe := "without limit"
	if slot.SafeBytes >= 0 {
		safe = fmt.Sprintf("%d bytes more until it is lost", slot.SafeBytes)
	}
	severity := OK
	if slot.Status == "unreserved" || slot.HeldBytes > i.cfg.RetainedAlarm {
		severity = Warning
	}
	i.add(severity, subject, "", "read by %s; holds %d bytes of WAL, %s", holder, slot.HeldBytes, safe)
	return nil
}
