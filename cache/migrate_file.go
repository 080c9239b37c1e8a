package cache

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"go.uber.org/zap"

	"airmirror/cache/bolt"
	"airmirror/cache/files"
	"airmirror/cache/packed"
	"airmirror/mirror/durable"
)

// migrateInterval is the time between two reports of the progress of a migration.
const migrateInterval = 5 * time.Second

// fileMigration migrates the index in a file.
//
// The new index is written to another file, which takes the name of the old one when it is complete and durable. So the
// folder always has an index that can be used, whenever the process ends: the old one, and then the new one. A file that
// an interrupted migration left is deleted.
type fileMigration struct {
	path    string // of the index
	blobs   *files.Files
	options Options
	batch   int          // entries in a transaction
	step    func(string) // called after each step; tests end the process there
}

func newFileMigration(path string, blobs *files.Files, options Options) *fileMigration {
	return &fileMigration{path: path, blobs: blobs, options: options.withDefaults(), batch: convertBatch, step: func(string) {}}
}

// next returns the path of the new index until it is complete.
func (m *fileMigration) next() string { return m.path + ".next" }

// run migrates an open index if it is of an older version. It returns the index to use, and closes index if it returns
// another one or an error.
func (m *fileMigration) run(ctx context.Context, index *bolt.Index) (*bolt.Index, error) {
	schema, err := readSchema(ctx, index)
	if err != nil || schema == (schemaRecord{}) || !schema.isOld() || schema.refused("") != nil {
		if err := removeLeftover(m.next()); err != nil {
			return nil, errors.Join(err, index.Close())
		}
		return index, nil // New returns the error, if there is one
	}
	if err := m.write(ctx, index, schema); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot migrate the index from schema %d to %d, it has not changed: %w", schema.Version, schemaVersion, err),
			removeLeftover(m.next()), index.Close())
	}
	if err := os.Rename(m.next(), m.path); err != nil {
		return nil, errors.Join(fmt.Errorf("replace the index: %w", err), index.Close())
	}
	m.step("renamed")
	if err := errors.Join(durable.SyncFolder(filepath.Dir(m.path)), index.Close()); err != nil {
		return nil, err
	}
	m.step("durable")
	return bolt.Open(m.path)
}

// write writes the new index.
func (m *fileMigration) write(ctx context.Context, index *bolt.Index, schema schemaRecord) error {
	if err := removeLeftover(m.next()); err != nil {
		return err
	}
	if err := checkRoom(m.path, m.blobs); err != nil {
		return err
	}
	log := m.options.Log
	log.Info("migrating the index to a new form; requests are served when this is done",
		zap.Int("from", schema.Version), zap.Int("to", schemaVersion), zap.String("file", m.path))
	if m.options.Migrating != nil {
		m.options.Migrating()
	}
	quiet := m.options
	quiet.Log = zap.NewNop()
	clock, err := openAnyClock(ctx, index, nil, quiet) // New logs what is wrong with the clock
	if err != nil {
		return err
	}
	created, err := bolt.Create(m.next())
	if err != nil {
		return err
	}
	m.step("created")
	began := time.Now()
	reported, entries := began, 0
	to := &migration{log: log, batch: m.batch, at: clock.now(), copied: func(n int) {
		if entries = n; time.Since(reported) >= migrateInterval {
			reported = time.Now()
			log.Info("migrating the index", zap.Int("entries", n), zap.Duration("elapsed", time.Since(began)))
		}
		m.step("copied")
	}}
	err = to.run(ctx, m.blobs, index, packed.New(created, keyLayouts))
	if err := errors.Join(err, created.Close()); err != nil {
		return err
	}
	m.step("complete")
	log.Info("migrated the index", zap.Int("entries", entries), zap.Duration("elapsed", time.Since(began)),
		zap.Int64("bytesBefore", fileSize(m.path)), zap.Int64("bytesAfter", fileSize(m.next())))
	return nil
}

// checkRoom returns an error if the disk has no room for a second index. The new one has at most half the size of the
// old one.
func checkRoom(path string, blobs *files.Files) error {
	_, free, err := blobs.Space()
	if need := fileSize(path) / 2; err == nil && free < need {
		return fmt.Errorf("it needs %s of free disk space in %s, which has %s: free some space and start again", size(need), filepath.Dir(path), size(free))
	}
	return nil
}

// fileSize returns the size of a file; 0 if it is unknown.
func fileSize(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}
