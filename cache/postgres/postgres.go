// Package postgres implements [backend.Index] with PostgreSQL, so that several nodes use one index.
//
// Each [backend.Table] is a table of two columns, key and value, in bytes. The rules about content stay in package cache.
//
// # Consistency
//
// A view is one statement, or a read-only transaction with one snapshot (REPEATABLE READ). An update is a READ COMMITTED
// transaction that first takes the advisory locks of its names, in order: see locks.go. Each of its statements reads what
// was committed before, and the locks prevent that what it has read changes before its own commit.
//
// # Round trips
//
// A statement on another machine costs a round trip, which is most of the time of a small transaction. So a transaction is
// begun together with its first read, [backend.ReadTx.Prefetch] reads keys of several tables in one statement, and what an
// update writes is collected and sent together with the commit. An update that only writes is one round trip.
//
// # Poolers
//
// Nothing depends on the state of a session: no prepared statements, no session locks, no settings. So a pooler that assigns
// connections to transactions, such as PgBouncer, may be between.
//
// # Failures
//
// If the server does not answer, or ends the connection, a call fails with [mirror.CodeUnavailable], within the time limits of
// options.go. Nothing waits for ever.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
	"github.com/jackc/pgx/v5/pgxpool"

	"airmirror/cache/backend"
)

const (
	// minVersion is the oldest major version of PostgreSQL that Open accepts.
	minVersion = 14
	// cancelDelay is how long a connection may stay open after its statement was canceled.
	cancelDelay = 5 * time.Second
)

// ErrClosed is returned by every call after Close.
var ErrClosed = errors.New("index is closed")

// Index implements [backend.Index].
type Index struct {
	pool   *pgxpool.Pool
	tables map[backend.Table]string // the quoted names of the tables
	closed atomic.Bool
	close  sync.Once
}

var (
	_ backend.Index  = (*Index)(nil)
	_ backend.Shared = (*Index)(nil)
)

// Open connects to a database and migrates its tables to this version of the program. Nodes may open the same database at the
// same time. Open returns an error for a server that is too old, is a standby, or acknowledges commits before they are durable,
// and for tables that a newer program has written.
func Open(ctx context.Context, options Options) (*Index, error) {
	config, err := options.config()
	if err != nil {
		return nil, err
	}
	return open(ctx, config)
}

func open(ctx context.Context, config *pgxpool.Config) (*Index, error) {
	config.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeExec
	config.ConnConfig.BuildContextWatcherHandler = func(conn *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.CancelRequestContextWatcherHandler{Conn: conn, DeadlineDelay: cancelDelay}
	}
	// A connection that was closed meanwhile is replaced when its first statement fails.
	config.ShouldPing = func(context.Context, pgxpool.ShouldPingParams) bool { return false }
	where := fmt.Sprintf("database %s of PostgreSQL at %s", config.ConnConfig.Database, config.ConnConfig.Host)
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", where, err)
	}
	x := &Index{pool: pool, tables: make(map[backend.Table]string)}
	if err := x.checkServer(ctx); err != nil {
		pool.Close()
		return nil, fmt.Errorf("open %s: %w", where, explainOpen(err))
	}
	if err := x.migrate(ctx); err != nil {
		pool.Close()
		return nil, fmt.Errorf("migrate %s: %w", where, explainOpen(err))
	}
	return x, nil
}

// checkServer returns an error for a server on which acknowledged content could be lost.
func (x *Index) checkServer(ctx context.Context) error {
	var version, commit string
	var standby bool
	err := x.pool.QueryRow(ctx, `select current_setting('server_version_num'), current_setting('synchronous_commit'), pg_is_in_recovery()`).
		Scan(&version, &commit, &standby)
	if err != nil {
		return err
	}
	number, _ := strconv.Atoi(version)
	switch {
	case number < minVersion*10000:
		return fmt.Errorf("its version is %d; the mirror needs %d or later", number/10000, minVersion)
	case standby:
		return errors.New("it is a standby, which cannot be written to: use the address of the primary server")
	case commit == "off":
		return errors.New("synchronous_commit is off, so a crash would lose what was acknowledged: set it to on for the role of the mirror")
	}
	return nil
}

// Close implements [backend.Index].
func (x *Index) Close() error {
	x.close.Do(func() {
		x.closed.Store(true)
		x.pool.Close()
	})
	return nil
}

// acquire returns a connection.
func (x *Index) acquire(ctx context.Context) (*pgxpool.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if x.closed.Load() {
		return nil, ErrClosed
	}
	limited, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	conn, err := x.pool.Acquire(limited)
	if err != nil && ctx.Err() == nil && !x.closed.Load() {
		return nil, unavailable(err)
	}
	if err != nil {
		return nil, fmt.Errorf("connect to PostgreSQL: %w", err)
	}
	return conn, nil
}

// setTables records the tables, whose names begin with tablePrefix.
func (x *Index) setTables(names []string) {
	for _, name := range names {
		x.tables[backend.Table(strings.TrimPrefix(name, tablePrefix))] = pgx.Identifier{name}.Sanitize()
	}
}

// ServerTime implements [backend.Shared].
func (x *Index) ServerTime(ctx context.Context) (at time.Time, err error) {
	conn, err := x.acquire(ctx)
	if err != nil {
		return at, err
	}
	defer conn.Release()
	limited, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	if err := conn.QueryRow(limited, `select clock_timestamp()`).Scan(&at); err != nil {
		return at, explain(ctx, fmt.Errorf("read the time of PostgreSQL: %w", err))
	}
	return at, nil
}
