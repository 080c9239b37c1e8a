package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"airmirror/api/admin"
	"airmirror/cache"
	"airmirror/cache/backend"
	"airmirror/cache/bolt"
	"airmirror/cache/files"
	"airmirror/mirror"
	"airmirror/sync/progress"
	"airmirror/sync/transfer"
)

// rebuildConfig says whether a new index is made, and what of.
type rebuildConfig struct {
	rebuild         bool
	backup, receipt string // files
}

const indexName = "index.db"

// rebuild makes a new index of a data folder that no server runs on, with all that can be read of the old one. That stays
// where it is until the new one is complete, and beside it from then on.
func rebuild(cmd *cobra.Command, q *question, c verifyConfig) error {
	if err := notServed(cmd.Context(), q.Data); err != nil {
		return err
	}
	r := &rebuilding{cmd: cmd, data: q.Data, fast: c.Fast, json: q.json}
	err := r.run(c.rebuildConfig)
	if err = errors.Join(err, r.close()); err != nil {
		if cmd.Context().Err() != nil {
			return &exitError{exitInterrupted, errors.New("interrupted: the index is as it was")}
		}
		return err
	}
	r.print()
	if n := r.lost; n > 0 {
		return &exitError{exitFlawed, fmt.Errorf("%s could not be brought back as they were", count(n, "thing", "things"))}
	}
	return nil
}

// notServed refuses a folder that a server runs on, or that is none.
func notServed(ctx context.Context, data string) error {
	transport, err := admin.Dial(ctx, data)
	if err == nil {
		transport.CloseIdleConnections()
	}
	if !errors.Is(err, admin.ErrNoServer) {
		return &exitError{exitInUse, fmt.Errorf("a server runs on the data folder %s: stop it first, as its index cannot be changed for another under it", data)}
	}
	if _, err := os.Stat(filepath.Join(data, "blobs")); err != nil {
		return &exitError{exitData, fmt.Errorf("there is nothing in the folder %s to make an index of: name the data folder with --data: %w", data, err)}
	}
	return nil
}

// rebuilding is one under way.
type rebuilding struct {
	cmd    *cobra.Command
	data   string
	fast   bool
	json   bool
	opened []io.Closer
	copied string // what could be read of a damaged index; "" if there is none
	kept   string // what the old index is called now; "" if there was none

	shown   show
	lost    int
	summary cache.RebuildSummary
}

// close closes what is open, the last first.
func (r *rebuilding) close() (err error) {
	for i := len(r.opened) - 1; i >= 0; i-- {
		err = errors.Join(err, r.opened[i].Close())
	}
	r.opened = nil
	if r.copied != "" {
		if removed := os.Remove(r.copied); !errors.Is(removed, fs.ErrNotExist) {
			err = errors.Join(err, removed)
		}
	}
	return err
}

func (r *rebuilding) run(c rebuildConfig) error {
	if err := mayWrite(r.data, os.Geteuid()); err != nil {
		return err
	}
	path := filepath.Join(r.data, indexName)
	sources := cache.RebuildSources{Fast: r.fast}
	if err := r.old(&sources, path); err != nil {
		return err
	}
	if err := r.sources(&sources, path, c); err != nil {
		return &exitError{exitUsage, err}
	}
	next := path + ".new"
	index, err := bolt.Open(next) // to see that nobody else is at it
	if err == nil {
		err = index.Close()
	}
	if errors.Is(err, bolt.ErrLocked) {
		return &exitError{exitInUse, fmt.Errorf("another index is being made for the data folder %s", r.data)}
	}
	if err := os.Remove(next); err != nil && !errors.Is(err, fs.ErrNotExist) { // an attempt that was broken off
		return &exitError{exitData, err}
	}
	if index, err = bolt.Open(next); err != nil {
		return &exitError{exitData, err}
	}
	r.opened = append(r.opened, index)
	blobs, err := files.Open(r.data)
	if err != nil {
		return &exitError{exitData, err}
	}
	if err := r.make(blobs, index, sources); err != nil {
		return errors.Join(err, os.Remove(next))
	}
	return r.replace(path, next)
}

// old opens the old index, if there is one, and keeps others from it. Of a damaged one it takes what can be read.
func (r *rebuilding) old(s *cache.RebuildSources, path string) error {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	index, err := bolt.OpenCopy(path)
	if errors.Is(err, bolt.ErrDamaged) {
		return r.damaged(s, path, err)
	}
	if err != nil {
		return r.oldError(err)
	}
	r.opened = append(r.opened, index)
	s.Old = index
	return nil
}

// damaged takes what can be read of an index that cannot be opened.
func (r *rebuilding) damaged(s *cache.RebuildSources, path string, reason error) error {
	lock, err := bolt.Lock(path)
	if err != nil {
		return r.oldError(err)
	}
	r.opened = append(r.opened, lock)
	r.copied = path + ".read"
	if err := os.Remove(r.copied); err != nil && !errors.Is(err, fs.ErrNotExist) { // of an attempt that was broken off
		return &exitError{exitData, err}
	}
	if s.Unreadable, err = bolt.Salvage(r.cmd.Context(), path, r.copied); err != nil {
		return &exitError{exitData, err}
	}
	if len(s.Unreadable) == 0 {
		s.Unreadable = []error{reason}
	}
	index, err := bolt.OpenCopy(r.copied)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // nothing could be read
	}
	if err != nil {
		return &exitError{exitData, err}
	}
	r.opened = append(r.opened, index)
	s.Old = index
	return nil
}

func (r *rebuilding) oldError(err error) error {
	if errors.Is(err, bolt.ErrLocked) {
		return &exitError{exitInUse, fmt.Errorf("the data folder %s is in use by another process: stop that one first", r.data)}
	}
	return &exitError{exitData, err}
}

// sources opens what else names come from. The index at path is open already.
func (r *rebuilding) sources(s *cache.RebuildSources, path string, c rebuildConfig) error {
	if c.backup != "" {
		named, err := os.Stat(c.backup)
		if err != nil {
			return err
		}
		if old, err := os.Stat(path); err == nil && os.SameFile(old, named) {
			c.backup = ""
		}
	}
	if c.backup != "" {
		backup, err := bolt.OpenCopy(c.backup)
		if err != nil {
			return err
		}
		r.opened = append(r.opened, backup)
		s.Backup = backup
	}
	if c.receipt != "" {
		receipt, err := os.Open(c.receipt)
		if err != nil {
			return err
		}
		r.opened = append(r.opened, receipt)
		s.Names = receiptNames(receipt)
	}
	return nil
}

// receiptNames yields what a receipt remembers. It names repositories first, and manifests after tags, those that have one
// twice.
func receiptNames(r io.Reader) iter.Seq2[cache.RebuildName, error] {
	return func(yield func(cache.RebuildName, error) bool) {
		for entry, err := range transfer.ReadReceipt(r) {
			var name cache.RebuildName
			var repo string
			switch {
			case err != nil:
			case entry.Repository != nil:
				name, repo = cache.RebuildName{Origin: entry.Repository.Origin}, entry.Repository.Name
			case entry.Tag != nil:
				name, repo = cache.RebuildName{Tag: entry.Tag.Tag, Digest: entry.Tag.Digest, Origin: entry.Tag.Origin}, entry.Tag.Repository
			case entry.Manifest != nil:
				m := entry.Manifest
				name, repo = cache.RebuildName{Digest: m.Digest, MediaType: m.MediaType, Origin: m.Origin, Root: m.Root}, m.Repository
			default:
				continue
			}
			if err == nil {
				name.Repo, err = mirror.ParseRepo(repo)
			}
			if !yield(name, err) || err != nil {
				return
			}
		}
	}
}

// make makes the new index.
func (r *rebuilding) make(blobs backend.Blobs, index backend.Index, sources cache.RebuildSources) (err error) {
	tell := r.event
	if r.json {
		tell = func(e cache.RebuildEvent) {
			r.lost++
			_ = json.NewEncoder(r.cmd.OutOrStdout()).Encode(rebuildLine{Event: &e})
		}
	} else {
		r.shown = newShow(r.cmd.OutOrStdout(), r.cmd.ErrOrStderr())
		defer r.shown.end()
		var reporter *progress.Reporter
		reporter = progress.New(func() {
			reporter.Tell(func(now progress.Now) { r.shown.progress("", now.Done, now.Total, now.Doing) })
		})
		defer reporter.Close()
		sources.Progress = reporter
	}
	r.summary, err = cache.Rebuild(r.cmd.Context(), blobs, index, sources, tell)
	return err
}

func (r *rebuilding) event(e cache.RebuildEvent) {
	r.lost++
	name := cmp.Or(e.Ref, e.Digest.String(), e.Entry, "index")
	r.shown.line(fmt.Sprintf("%s %s: %s", e.Kind, name, e.Reason))
}

// replace puts the new index in the place of the old one, which is kept. Both are open, and so nobody else's.
func (r *rebuilding) replace(path, next string) error {
	kept := path + "." + time.Now().UTC().Format("20060102T150405.000Z")
	err := os.Link(path, kept) // so that there is an index at every moment
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrExist) {
		err = os.Rename(path, kept) // a file has one name on this file system
	}
	switch {
	case err == nil:
		r.kept = kept
	case !errors.Is(err, fs.ErrNotExist):
		return &exitError{exitData, fmt.Errorf("keep the old index: %w", err)}
	}
	if err := os.Rename(next, path); err != nil {
		return &exitError{exitData, err}
	}
	return bolt.SyncFolder(r.data)
}

// rebuildLine is what is printed of a rebuild for programs: one of these is set.
type rebuildLine struct {
	Event *cache.RebuildEvent `json:"event,omitempty"`
	Done  *rebuildDone        `json:"done,omitempty"`
}

type rebuildDone struct {
	cache.RebuildSummary
	Old string `json:"old,omitempty"` // where the old index is
}

func (r *rebuilding) print() {
	out, s := r.cmd.OutOrStdout(), r.summary
	if r.json {
		_ = json.NewEncoder(out).Encode(rebuildLine{Done: &rebuildDone{s, r.kept}})
		return
	}
	took := time.Duration(s.Seconds * float64(time.Second)).Round(10 * time.Millisecond)
	fmt.Fprintf(out, "%s, %s, in %s: %s and %s are in the new index\n", count(int(s.Files), "file", "files"), size(s.Bytes), took,
		count(s.Manifests, "manifest", "manifests"), count(s.Tags, "tag", "tags"))
	var parts []string
	for _, kind := range []cache.RebuildKind{cache.RebuildDamaged, cache.RebuildMissing, cache.RebuildIncomplete, cache.RebuildConflict, cache.RebuildRecovered, cache.RebuildUnreadable} {
		if n := s.Events[kind]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, kind))
		}
	}
	if len(parts) > 0 {
		fmt.Fprintln(out, strings.Join(parts, ", "))
	}
	if s.Deleted > 0 {
		fmt.Fprintf(out, "%s of deleted images left to 'mirror gc'\n", count(s.Deleted, "manifest", "manifests"))
	}
	if r.kept != "" {
		fmt.Fprintln(out, "the old index is "+r.kept)
	}
}
