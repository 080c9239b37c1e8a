package postgres

import (
	"context"
	"embed"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5"
)

// tablePrefix begins the names of the tables, so that the mirror can share a database.
const tablePrefix = "mirror_"

// migrations are SQL files, by number. A program uses the tables of its own last migration and of the next one: so nodes are
// upgraded one after the other, and a migration must not break the version before it. No migration is ever changed.
//
//go:embed migrations/*.sql
var migrations embed.FS

// migrate runs the migrations that the database lacks, in one transaction. Other nodes wait for it.
func (x *Index) migrate(ctx context.Context) error {
	files, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return err
	}
	var names []string
	err = pgx.BeginFunc(ctx, x.pool, func(tx pgx.Tx) error {
		version, err := lockMigrations(ctx, tx)
		if err != nil {
			return err
		}
		if version > len(files)+1 {
			return fmt.Errorf("a newer version of the mirror has migrated it (its version is %d, this program knows %d): use that version", version, len(files))
		}
		for i := version; i < len(files); i++ {
			if err := runMigration(ctx, tx, files[i], i+1); err != nil {
				return err
			}
		}
		rows, err := tx.Query(ctx, `select tablename::text from pg_tables where schemaname = current_schema() and starts_with(tablename::text, $1)`, tablePrefix)
		if err != nil {
			return err
		}
		names, err = pgx.CollectRows(rows, pgx.RowTo[string])
		return err
	})
	if err != nil {
		return err
	}
	x.setTables(names)
	return nil
}

// lockMigrations waits until no other node migrates, and returns the number of the last migration; 0 if there is none.
func lockMigrations(ctx context.Context, tx pgx.Tx) (version int, err error) {
	if _, err := tx.Exec(ctx, `select pg_advisory_xact_lock($1)`, lockKey("migrations")); err != nil {
		return 0, err
	}
	if _, err := tx.Exec(ctx, `create table if not exists mirror_migrations (version integer primary key, applied timestamptz not null default now())`); err != nil {
		return 0, fmt.Errorf("create its tables: %w", err)
	}
	err = tx.QueryRow(ctx, `select coalesce(max(version), 0) from mirror_migrations`).Scan(&version)
	return version, err
}

func runMigration(ctx context.Context, tx pgx.Tx, file string, version int) error {
	sql, err := migrations.ReadFile(file)
	if err != nil {
		return err
	}
	// Several statements need the simple protocol.
	if _, err := tx.Conn().PgConn().Exec(ctx, string(sql)).ReadAll(); err != nil {
		return fmt.Errorf("migration %d: %w", version, err)
	}
	_, err = tx.Exec(ctx, `insert into mirror_migrations (version) values ($1)`, version)
	return err
}
