package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"

	"airmirror/mirror"
)

// The codes of errors of the server that have a meaning of their own.
const (
	codeWrongPassword = "28P01"
	codeNoLogin       = "28000"
	codeNoDatabase    = "3D000"
	codeNoRight       = "42501"
	codeReadOnly      = "25006" // the server became a standby
	codeDiskFull      = "53100"
	codeConnections   = "53300" // too many
)

// lostCommitError means that nobody knows whether a transaction was committed.
type lostCommitError struct{ error }

func (e *lostCommitError) Error() string {
	return "PostgreSQL did not answer the commit, which may have succeeded: " + oneLine(e.error)
}

func (e *lostCommitError) Unwrap() error { return e.error }

// explain adds a code to the error of a transaction. ctx is that of the caller, without the time limits of the statements.
func explain(ctx context.Context, err error) error {
	var known *mirror.Error
	var failed *pgconn.PgError
	switch {
	case err == nil || ctx.Err() != nil || errors.As(err, &known) || errors.Is(err, ErrClosed):
		return err
	case !errors.As(err, &failed):
		if fromConnection(err) {
			return unavailable(err)
		}
		return err
	case failed.Code == codeDiskFull:
		return mirror.Errorf(mirror.CodeStorageFull, "the disk of PostgreSQL is full")
	case gone(failed):
		return unavailable(err)
	}
	return err
}

// gone reports whether the server cannot answer any request now.
func gone(failed *pgconn.PgError) bool {
	class := failed.Code[:min(2, len(failed.Code))]
	return class == "57" || class == "08" || failed.Code == codeReadOnly || failed.Code == codeConnections
}

// fromConnection reports whether an error is one of the connection, and not of a function that uses the index.
func fromConnection(err error) bool {
	var lost *lostCommitError
	var failed interface{ Timeout() bool } // those of package net, and those of pgconn that ended because of a time limit
	var system syscall.Errno
	return errors.As(err, &lost) || errors.As(err, &failed) || errors.As(err, &system) || pgconn.SafeToRetry(err) ||
		strings.Contains(err.Error(), "EOF") || strings.Contains(err.Error(), "conn closed")
}

// unavailable returns the error for a server that does not answer. Clients see it, so it does not name the server.
func unavailable(err error) error {
	return mirror.Errorf(mirror.CodeUnavailable, "PostgreSQL does not answer (%s): try again later", reason(err))
}

// reason says in a few words why a connection failed.
func reason(err error) string {
	var failed *pgconn.PgError
	var system syscall.Errno
	switch {
	case errors.As(err, &failed):
		return failed.Message
	case errors.As(err, &system):
		return system.Error()
	case errors.Is(err, context.DeadlineExceeded):
		return "no answer in time"
	}
	return "the connection was lost"
}

// explainOpen says in one line why a database cannot be opened, with the next step.
func explainOpen(err error) error {
	var failed *pgconn.PgError
	if !errors.As(err, &failed) {
		var system syscall.Errno
		if errors.As(err, &system) || errors.Is(err, context.DeadlineExceeded) {
			return fmt.Errorf("it does not answer (%s): check the address, and that it is running", reason(err))
		}
		return errors.New(oneLine(err))
	}
	switch failed.Code {
	case codeWrongPassword, codeNoLogin:
		return fmt.Errorf("%s: check the user, the password and pg_hba.conf", failed.Message)
	case codeNoDatabase:
		return fmt.Errorf("%s: create it", failed.Message)
	case codeNoRight:
		return fmt.Errorf("%s: make the user of the mirror the owner of the database", failed.Message)
	case codeConnections:
		return fmt.Errorf("%s: raise max_connections, or set pool_max_conns in the URL", failed.Message)
	}
	return errors.New(oneLine(err))
}

// oneLine returns the text of an error without line breaks: pgx lists the addresses that it has tried.
func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }
