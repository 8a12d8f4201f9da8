package pgtest

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Null is how a null reads in results.
const Null = "NULL"

// Session is one connection, for what must stay open between steps: a
// transaction, a lock, temporary tables, a prepared burst of traffic.
type Session struct{ conn *pgx.Conn }

// Connect opens a session on a database, as the superuser; "" is the cluster's
// own database.
func (c *Cluster) Connect(ctx context.Context, db string) (*Session, error) {
	return Open(ctx, c.URL(db))
}

// Open opens a session at a URL, which may name another role or go through a
// proxy.
func Open(ctx context.Context, url string) (*Session, error) {
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	// Text in both directions, and several statements at once where there are no
	// arguments.
	cfg.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
	cfg.RuntimeParams["client_encoding"] = "UTF8"
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return nil, err
	}
	return &Session{conn}, nil
}

// Exec runs SQL; without arguments it may be several statements, which are one
// transaction as in psql -c.
func (s *Session) Exec(ctx context.Context, sql string, args ...any) error {
	if _, err := s.conn.Exec(ctx, sql, args...); err != nil {
		return fmt.Errorf("%w\nin %s", err, sql)
	}
	return nil
}

// Query returns the rows of one statement, each value in Postgres' own text.
func (s *Session) Query(ctx context.Context, sql string, args ...any) ([][]string, error) {
	rows, err := s.conn.Query(ctx, sql, args...)
	if err != nil {
		return nil, fmt.Errorf("%w\nin %s", err, sql)
	}
	defer rows.Close()
	var all [][]string
	for rows.Next() {
		var row []string
		for _, v := range rows.RawValues() {
			if v == nil {
				row = append(row, Null)
			} else {
				row = append(row, string(v))
			}
		}
		all = append(all, row)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("%w\nin %s", err, sql)
	}
	return all, nil
}

// Value returns the first column of the first row.
func (s *Session) Value(ctx context.Context, sql string, args ...any) (string, error) {
	rows, err := s.Query(ctx, sql, args...)
	if err != nil {
		return "", err
	}
	if len(rows) == 0 || len(rows[0]) == 0 {
		return "", fmt.Errorf("no row\nin %s", sql)
	}
	return rows[0][0], nil
}

// PID is the process id of the session's backend.
func (s *Session) PID() int { return int(s.conn.PgConn().PID()) }

// Close ends the session.
func (s *Session) Close(ctx context.Context) error { return s.conn.Close(ctx) }

// Exec runs SQL in the cluster's own database, in a session of its own.
func (c *Cluster) Exec(ctx context.Context, sql string, args ...any) error {
	return c.in(ctx, "", func(s *Session) error { return s.Exec(ctx, sql, args...) })
}

// Query returns the rows of one statement run in the cluster's own database.
func (c *Cluster) Query(ctx context.Context, sql string, args ...any) (rows [][]string, err error) {
	err = c.in(ctx, "", func(s *Session) error {
		rows, err = s.Query(ctx, sql, args...)
		return err
	})
	return rows, err
}

func (c *Cluster) in(ctx context.Context, db string, do func(*Session) error) error {
	s, err := c.Connect(ctx, db)
	if err != nil {
		return err
	}
	defer s.Close(context.WithoutCancel(ctx))
	return do(s)
}
