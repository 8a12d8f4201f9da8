package cdc

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgservicefile"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"

	"github.com/pgcio/pgcio/internal/lsn"
)

// pinned are the settings of every connection, walsenders included: the text
// of a value must not depend on what was set for the role or the database, and
// streamed and read text must be the same bytes (T56, T57, T58).
var pinned = map[string]string{
	"client_encoding":    "UTF8",
	"DateStyle":          "ISO, MDY",
	"IntervalStyle":      "postgres",
	"TimeZone":           "UTC",
	"bytea_output":       "hex",
	"extra_float_digits": "3", // since 12 anything above 0 is the shortest text that reads back the same
	"lc_monetary":        "C",
	"xmloption":          "content",
	// Of a publication that is missing a newer Postgres only warns (T42).
	"client_min_messages": "notice",
	// What we write must be read as we mean it.
	"standard_conforming_strings": "on",
	"search_path":                 "pg_catalog, public",
	// What the role or the database limits for other uses.
	"statement_timeout":                   "0",
	"idle_in_transaction_session_timeout": "0",
	"lock_timeout":                        "5000", // ms; we never queue long behind a lock, nor others behind us
	"default_transaction_isolation":       "read committed",
	"default_transaction_deferrable":      "off",
}

// mode is what kind of connection is wanted.
type mode int

const (
	ordinary    mode = iota
	replicating      // a walsender bound to the database: it takes SQL, too
)

// session is one connection, used by one goroutine at a time.
type session struct {
	*pgconn.PgConn
	version int    // of the server, as 150004
	at      string // the address it was made to
}

// connectTimeout bounds connecting where the URL does not say connect_timeout:
// an unreachable host must become an error that can be shown.
const connectTimeout = 10 * time.Second

func connect(ctx context.Context, cfg Config, m mode) (*session, error) {
	pc, err := parseURL(cfg.URL)
	if err != nil {
		return nil, err
	}
	pin(pc.RuntimeParams, pinned)
	pin(pc.RuntimeParams, map[string]string{"application_name": cfg.ApplicationName})
	if m == replicating {
		pin(pc.RuntimeParams, map[string]string{"replication": "database"})
	}
	s := &session{}
	s.only(pc, cfg.at)
	if pc.ConnectTimeout == 0 {
		pc.ConnectTimeout = connectTimeout
	}
	// A cancelled context cancels the statement at the server too; the connection
	// is cut only if that does not help in 5 s.
	pc.BuildContextWatcherHandler = func(c *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.CancelRequestContextWatcherHandler{Conn: c, DeadlineDelay: 5 * time.Second}
	}
	ctx, cancel := context.WithTimeout(ctx, pc.ConnectTimeout)
	defer cancel()
	conn, err := pgconn.ConnectConfig(ctx, pc)
	if err != nil {
		return nil, &connectError{err}
	}
	s.PgConn, s.version = conn, serverVersion(conn.ParameterStatus("server_version"))
	if sql := s.settings(); sql != "" {
		if _, err := s.query(ctx, sql); err != nil {
			s.close()
			return nil, fmt.Errorf("preparing a postgres session: %w", err)
		}
	}
	return s, nil
}

// pin sets parameters in the place of what the URL or the environment say of them.
// Postgres takes names in any case, and of two spellings either may win.
func pin(params, values map[string]string) {
	for name := range params {
		for pinned := range values {
			if strings.EqualFold(name, pinned) {
				delete(params, name)
			}
		}
	}
	maps.Copy(params, values)
}

// only lets a connection be made to one address alone ("": to any that the URL
// names), and notes which it was. Of several hosts each connection would choose
// for itself: what is read beside the stream, and what notices a shutdown, must
// be of the server that is streamed from.
func (s *session) only(pc *pgconn.Config, address string) {
	dial := pc.DialFunc
	if ip, _, err := net.SplitHostPort(address); err == nil {
		// Of a name with many addresses another may be given out each time.
		pc.LookupFunc = func(context.Context, string) ([]string, error) { return []string{ip}, nil }
	}
	pc.DialFunc = func(ctx context.Context, network, to string) (net.Conn, error) {
		if s.PgConn != nil {
			return dial(ctx, network, to) // to cancel a statement
		}
		if address != "" && to != address {
			return nil, fmt.Errorf("%s is not the server that is streamed from, which is at %s", to, address)
		}
		s.at = to
		return dial(ctx, network, to)
	}
}

// settings are what depends on the server. Limits that only some versions know
// others would refuse us for as startup parameters; a walsender decodes in a
// transaction, which lasts as long as its client takes to read it. And a database
// without an encoding may hold bytes that are no UTF-8: asked for that, Postgres
// would end the stream at such a row, each time (T57).
func (s *session) settings() (sql string) {
	if s.ParameterStatus("server_encoding") == "SQL_ASCII" {
		sql = "SET client_encoding = 'SQL_ASCII';"
	}
	if s.version >= 140000 {
		sql += "SET idle_session_timeout = 0;"
	}
	if s.version >= 170000 {
		sql += "SET transaction_timeout = 0;"
	}
	return sql
}

// connectError says in one line what pgconn says in one for each address that
// it tried.
type connectError struct{ err error }

func (e *connectError) Error() string {
	return "connecting to postgres: " + strings.ReplaceAll(strings.Join(lines(e.err.Error()), "; "), ":; ", ": ")
}

func (e *connectError) Unwrap() error { return e.err }

// lines are a text's lines without what surrounds them, each once.
func lines(text string) (all []string) {
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && !slices.Contains(all, line) {
			all = append(all, line)
		}
	}
	return all
}

func (s *session) close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = s.Close(ctx) // nothing depends on a goodbye
}

// parseURL reads a connection string as psql does, with one difference: a
// server that is not on this machine must prove who it is, unless sslmode says
// otherwise. psql's own default takes no encryption for an answer (T62).
func parseURL(text string) (*pgconn.Config, error) {
	pc, err := parseConfig(text)
	if err != nil {
		return nil, err
	}
	if os.Getenv("PGSSLMODE") != "" || isLocal(pc) {
		return pc, nil
	}
	service := os.Getenv("PGSERVICE")
	if u, err := url.Parse(text); err == nil && isURL(u) {
		q := u.Query()
		if q.Has("sslmode") || serviceSaysTLS(cmp.Or(q.Get("service"), service)) {
			return pc, nil
		}
		q.Set("sslmode", "verify-full")
		u.RawQuery = q.Encode()
		return parseConfig(u.String())
	}
	// Only a key says it: not a host, a user or a password with that word in it.
	if saysTLS.MatchString(quoted.ReplaceAllString(text, "''")) {
		return pc, nil
	}
	if m := namesService.FindStringSubmatch(text); m != nil {
		service = strings.Trim(m[2], "'")
	}
	if serviceSaysTLS(service) {
		return pc, nil
	}
	return parseConfig(text + " sslmode=verify-full")
}

var (
	saysTLS      = regexp.MustCompile(`(^|\s)sslmode\s*=`)
	namesService = regexp.MustCompile(`(^|\s)service\s*=\s*('[^']*'|\S+)`)
	quoted       = regexp.MustCompile(`'(\\.|[^'\\])*'`)
)

// serviceSaysTLS tells whether a service of the service file says sslmode. The
// file has been read once, so that it can be.
func serviceSaysTLS(name string) bool {
	if name == "" {
		return false
	}
	path := os.Getenv("PGSERVICEFILE")
	if path == "" {
		if home, err := os.UserHomeDir(); err == nil {
			path = filepath.Join(home, ".pg_service.conf")
		}
	}
	file, err := pgservicefile.ReadServicefile(path)
	if err != nil {
		return false
	}
	service, err := file.GetService(name)
	return err == nil && service.Settings["sslmode"] != ""
}

// CheckURL tells whether a connection string can be read, without connecting.
func CheckURL(text string) error {
	_, err := parseURL(text)
	return err
}

// parseConfig is pgconn's, whose messages may quote what cannot be parsed: it
// cannot be masked, and may be a password.
func parseConfig(text string) (*pgconn.Config, error) {
	pc, err := pgconn.ParseConfig(text)
	var file *fs.PathError
	switch {
	case errors.As(err, &file): // sslrootcert, sslcert, service file …
		return nil, fmt.Errorf("reading the postgres url: %w", file)
	case err != nil, strings.Contains(text, "://") && !strings.HasPrefix(text, "postgres://") && !strings.HasPrefix(text, "postgresql://") && !setting.MatchString(text):
		return nil, errors.New("reading the postgres url: it is neither a URL such as postgres://user@host/database nor a list of key=value settings")
	}
	return pc, nil
}

// setting is how a list of key=value settings begins.
var setting = regexp.MustCompile(`^\s*[a-z_]+\s*=`)

func isURL(u *url.URL) bool { return u.Scheme == "postgres" || u.Scheme == "postgresql" }

func isLocal(pc *pgconn.Config) bool {
	local := func(host string) bool {
		return strings.HasPrefix(host, "/") || strings.HasPrefix(host, "@") ||
			host == "localhost" || host == "::1" || strings.HasPrefix(host, "127.")
	}
	return local(pc.Host) && !slices.ContainsFunc(pc.Fallbacks, func(f *pgconn.FallbackConfig) bool { return !local(f.Host) })
}

// serverVersion turns "15.4 (Debian …)" or "18beta1" into 150004 or 180000.
func serverVersion(text string) int {
	major, rest, _ := strings.Cut(text, ".")
	number := func(s string) int {
		end := 0
		for end < len(s) && s[end] >= '0' && s[end] <= '9' {
			end++
		}
		n, _ := strconv.Atoi(s[:end])
		return n
	}
	return number(major)*10000 + number(rest)
}

// table of text values: what the simple protocol answers, which are the same
// output functions that pgoutput uses. ::text would not be (m2).
type rows [][][]byte

func (r rows) text(row, col int) string { return string(r[row][col]) }

func (r rows) bool(row, col int) bool { return string(r[row][col]) == "t" }

func (r rows) null(row, col int) bool { return r[row][col] == nil }

func (r rows) int(row, col int) int64 {
	n, _ := strconv.ParseInt(r.text(row, col), 10, 64)
	return n
}

func (r rows) lsn(row, col int) lsn.LSN {
	l, _ := lsn.Parse(r.text(row, col))
	return l
}

// query runs SQL by the simple protocol and returns the rows of its last
// statement.
func (s *session) query(ctx context.Context, sql string) (rows, error) {
	results, err := s.Exec(ctx, sql).ReadAll()
	if err != nil {
		return nil, err
	}
	if len(results) == 0 {
		return nil, nil
	}
	return results[len(results)-1].Rows, nil
}

// one runs one statement: by the extended protocol the server refuses text that
// holds more, which a condition of the user's may.
func (s *session) one(ctx context.Context, sql string) *pgconn.ResultReader {
	return s.ExecParams(ctx, sql, nil, nil, nil, nil)
}

// ask opens an ordinary connection for one question and closes it.
func ask(ctx context.Context, cfg Config, do func(*session) error) error {
	s, err := connect(ctx, cfg, ordinary)
	if err != nil {
		return err
	}
	defer s.close()
	if err = do(s); err != nil && ctx.Err() != nil {
		return ctx.Err() // the server may only say that the statement was cancelled
	}
	return err
}

// code is the SQLSTATE of an error from the server, or "".
func code(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code
	}
	return ""
}

// SQLSTATEs that decide something.
const (
	codeUndefinedObject = "42704" // slot or publication does not exist
	codeNotInState      = "55000" // slot is lost
	codeInUse           = "55006" // slot is active for another
	codeDuplicate       = "42710" // slot or publication exists
	codeAdminShutdown   = "57P01"
	codeReadOnly        = "25006"
	codePrivilege       = "42501"
	codeUndefinedTable  = "42P01"
	codeLimit           = "53400" // all slots are taken
)

func quoteIdent(name string) string {
	return `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
}

func quoteIdents(names []string) string {
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = quoteIdent(n)
	}
	return strings.Join(quoted, ", ")
}

// quoteTable quotes "schema.name".
func quoteTable(table string) string {
	schema, name := splitTable(table)
	return quoteIdent(schema) + "." + quoteIdent(name)
}

func splitTable(table string) (schema, name string) {
	schema, name, found := strings.Cut(table, ".")
	if !found {
		return "public", schema
	}
	return schema, name
}

// quoteLiteral relies on standard_conforming_strings, which is pinned.
func quoteLiteral(text string) string {
	return "'" + strings.ReplaceAll(text, "'", "''") + "'"
}

func quoteLiterals(texts []string) string {
	quoted := make([]string, len(texts))
	for i, t := range texts {
		quoted[i] = quoteLiteral(t)
	}
	return strings.Join(quoted, ", ")
}
