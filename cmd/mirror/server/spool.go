package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"go.uber.org/zap"

	"airmirror/cache"
)

// spoolPattern is the pattern of the names of spool files in a data folder.
const spoolPattern = ".backup-*"

// spoolingStore is a store whose backups are copied to a file at the speed of the disk before they are sent. A backup is a
// read transaction: while a slow client reads it, the index could not use pages again that are freed meanwhile, and would
// grow by everything that is written.
type spoolingStore struct {
	*cache.Store
	folder string                 // of the spool files
	room   func(need int64) error // checks the free space of the disk
	log    *zap.Logger
}

// Backup implements [service.Store]. Without room for a spool file, it sends the index directly: a backup matters most
// when the disk is full.
func (s spoolingStore) Backup(ctx context.Context, w io.Writer) (int64, error) {
	spool, err := s.create()
	if err == nil {
		defer spool.Close()
		_, err = s.Store.Backup(ctx, spoolWriter{spool})
	}
	if full := (*spoolError)(nil); errors.As(err, &full) {
		s.log.Warn("a backup is not copied to a file first: the index grows by what is written until its client has read it", zap.Error(full.error))
		if spool != nil {
			spool.Close()
		}
		return s.Store.Backup(ctx, w)
	}
	if err != nil {
		return 0, err
	}
	if _, err := spool.Seek(0, io.SeekStart); err != nil {
		return 0, fmt.Errorf("read the copy of the index: %w", err)
	}
	return io.Copy(w, spool)
}

// create creates a spool file. Its name is removed at once, so that a crash leaves nothing.
func (s spoolingStore) create() (*os.File, error) {
	info, err := os.Stat(filepath.Join(s.folder, cache.IndexName))
	if err != nil {
		return nil, &spoolError{err}
	}
	if err := s.room(info.Size()); err != nil {
		return nil, &spoolError{err}
	}
	spool, err := os.CreateTemp(s.folder, spoolPattern)
	if err != nil {
		return nil, &spoolError{err}
	}
	_ = os.Remove(spool.Name()) // where open files cannot be removed, the next start removes it
	return spool, nil
}

// spoolError is an error of a spool file, and not of the index.
type spoolError struct{ error }

func (e *spoolError) Unwrap() error { return e.error }

// spoolWriter marks the errors of a spool file.
type spoolWriter struct{ file *os.File }

func (w spoolWriter) Write(p []byte) (int, error) {
	n, err := w.file.Write(p)
	if err != nil {
		err = &spoolError{err}
	}
	return n, err
}
