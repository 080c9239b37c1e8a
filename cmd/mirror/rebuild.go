package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"airmirror/api/admin"
	"airmirror/cache"
	"airmirror/mirror"
	"airmirror/sync/progress"
	"airmirror/sync/transfer"
)

// rebuildConfig says whether a new index is made, and what of.
type rebuildConfig struct {
	rebuild         bool
	backup, receipt string // files
}

const indexName = cache.IndexName

// rebuild makes a new index of a data folder that no server runs on, with all that can be read of the old one. That stays
// where it is until the new one is complete, and beside it from then on.
func rebuild(cmd *cobra.Command, q *question, c verifyConfig) error {
	if err := notServed(cmd.Context(), q.Data); err != nil {
		return err
	}
	r := &rebuilding{cmd: cmd, data: q.Data, fast: c.Fast, json: q.json}
	err := r.run(c.rebuildConfig)
	if err != nil {
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

// rebuilding is a rebuild that is running.
type rebuilding struct {
	cmd  *cobra.Command
	data string
	fast bool
	json bool

	shown    show
	lost     int
	summary  cache.RebuildSummary
	oldIndex string // the path of the old index afterwards; "" if there was none
}

// run makes the new index.
func (r *rebuilding) run(c rebuildConfig) (err error) {
	if err := mayWrite(r.data, os.Geteuid()); err != nil {
		return err
	}
	sources := cache.RebuildSources{Fast: r.fast}
	if c.receipt != "" {
		receipt, err := os.Open(c.receipt)
		if err != nil {
			return &exitError{exitUsage, err}
		}
		defer receipt.Close()
		sources.Names = receiptNames(receipt)
	}
	report := r.event
	if r.json {
		report = func(e cache.RebuildEvent) {
			r.lost++
			_ = json.NewEncoder(r.cmd.OutOrStdout()).Encode(rebuildLine{Event: &e})
		}
	} else {
		r.shown = newShow(r.cmd.OutOrStdout(), r.cmd.ErrOrStderr())
		defer r.shown.end()
		reporter := r.progress()
		defer reporter.Close()
		sources.Progress = reporter
	}
	r.summary, r.oldIndex, err = cache.RebuildFolder(r.cmd.Context(), r.data, c.backup, sources, report)
	return r.exitError(err)
}

// exitError returns err with the exit code for it.
func (r *rebuilding) exitError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, cache.ErrInUse):
		return &exitError{exitInUse, fmt.Errorf("the data folder %s is in use by another process: stop that one first", r.data)}
	case errors.Is(err, cache.ErrRebuilding):
		return &exitError{exitInUse, fmt.Errorf("%w %s", cache.ErrRebuilding, r.data)}
	case errors.Is(err, cache.ErrBackup):
		return &exitError{exitUsage, err}
	}
	return &exitError{exitData, err}
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

// progress returns a reporter that shows the progress.
func (r *rebuilding) progress() (reporter *progress.Reporter) {
	reporter = progress.New(func() {
		reporter.Tell(func(now progress.Now) { r.shown.progress("", now.Done, now.Total, now.Doing) })
	})
	return reporter
}

func (r *rebuilding) event(e cache.RebuildEvent) {
	r.lost++
	name := cmp.Or(e.Ref, e.Digest.String(), e.Entry, "index")
	r.shown.line(fmt.Sprintf("%s %s: %s", e.Kind, name, e.Reason))
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
		_ = json.NewEncoder(out).Encode(rebuildLine{Done: &rebuildDone{s, r.oldIndex}})
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
	if r.oldIndex != "" {
		fmt.Fprintln(out, "the old index is "+r.oldIndex)
	}
}
