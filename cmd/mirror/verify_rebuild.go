package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"airmirror/api/admin"
	"airmirror/cache"
	"airmirror/cmd/mirror/server"
	"airmirror/mirror"
	"airmirror/sync/transfer"
)

// rebuildConfig are the flags for a rebuild of the index.
type rebuildConfig struct {
	rebuild         bool
	backup, receipt string // files
}

// rebuild creates a new index for a data folder without a running server. The old index stays in place until the new one
// is complete, and is kept beside it afterwards.
func rebuild(cmd *cobra.Command, q *adminCommand, c verifyConfig) error {
	if isRemote(cmd) {
		return &exitError{exitUsage, errors.New("--rebuild cannot be used with --server: it works in a data folder of this machine")}
	}
	if server.IsShared(q.Config) {
		return &exitError{exitUsage, errors.New("--rebuild makes the index of a data folder, and this store is shared: its index is in PostgreSQL; restore that from a backup")}
	}
	if err := checkStopped(cmd.Context(), q.Data); err != nil {
		return err
	}
	r := &rebuilding{cmd: cmd, data: q.Data, fast: c.Fast, json: q.json}
	err := r.run(c.rebuildConfig)
	if err != nil {
		if cmd.Context().Err() != nil {
			return &exitError{exitInterrupted, errors.New("interrupted: the index is unchanged")}
		}
		return err
	}
	r.print()
	if n := r.lost; n > 0 {
		return &exitError{exitDefects, fmt.Errorf("%s could not be restored", count(n, "item", "items"))}
	}
	return nil
}

// checkStopped returns an error if a server runs on the folder, or if it is not a data folder.
func checkStopped(ctx context.Context, data string) error {
	transport, err := admin.Dial(ctx, data)
	if err == nil {
		transport.CloseIdleConnections()
	}
	if !errors.Is(err, admin.ErrNoServer) {
		return &exitError{exitInUse, fmt.Errorf("a server runs on the data folder %s: stop it first", data)}
	}
	if _, err := os.Stat(filepath.Join(data, "blobs")); err != nil {
		return &exitError{exitData, fmt.Errorf("the folder %s contains no blobs: set the data folder with --data: %w", data, err)}
	}
	return nil
}

// rebuilding is a rebuild that is running.
type rebuilding struct {
	cmd  *cobra.Command
	data string
	fast bool
	json bool

	lost     int
	summary  cache.RebuildSummary
	oldIndex string // the path of the old index afterwards; "" if there was none
}

// run makes the new index.
func (r *rebuilding) run(c rebuildConfig) (err error) {
	if err := server.CheckCommand(r.data, os.Geteuid()); err != nil {
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
	report, end := r.show()
	defer end()
	reporter := report.NewReporter()
	defer reporter.Close()
	sources.Progress = reporter
	r.summary, r.oldIndex, err = cache.RebuildFolder(r.cmd.Context(), r.data, c.backup, sources, func(e cache.RebuildEvent) {
		r.lost++
		report.Item(admin.KindDefect, e)
	})
	return r.exitError(err)
}

// exitError returns err with the exit code for it.
func (r *rebuilding) exitError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, cache.ErrInUse):
		return &exitError{exitInUse, fmt.Errorf("the data folder %s is in use by another process: stop it first", r.data)}
	case errors.Is(err, cache.ErrRebuilding):
		return &exitError{exitInUse, fmt.Errorf("%w %s", cache.ErrRebuilding, r.data)}
	case errors.Is(err, cache.ErrBackup):
		return &exitError{exitUsage, err}
	}
	return &exitError{exitData, err}
}

// receiptNames yields the names in a receipt: repositories first, then tags, then manifests. A manifest with a tag occurs
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

// show returns a function that shows the events of the rebuild, as those of a job are shown. The caller calls end.
func (r *rebuilding) show() (report admin.Report, end func()) {
	view := newJobView(r.cmd, r.json)
	view.item = func(e admin.Event) (string, error) {
		var lost cache.RebuildEvent
		err := e.Decode(&lost)
		return fmt.Sprintf("%s %s: %s", lost.Kind, cmp.Or(lost.Ref, lost.Digest.String(), lost.Entry, "index"), lost.Reason), err
	}
	var mu sync.Mutex
	return func(e admin.Event) {
		mu.Lock()
		defer mu.Unlock()
		_ = view.event(e) // a closed output does not stop the rebuild
	}, view.end
}

// rebuildDone is the summary of a rebuild.
// rebuildDone is the result of a rebuild.
type rebuildDone struct {
	cache.RebuildSummary
	Old string `json:"old,omitempty"` // path of the old index
}

// print prints the result.
func (r *rebuilding) print() {
	out, s := r.cmd.OutOrStdout(), r.summary
	if r.json {
		admin.Report(func(e admin.Event) { _ = printEvent(out, e) }).Summary(rebuildDone{s, r.oldIndex})
		return
	}
	took := time.Duration(s.Seconds * float64(time.Second)).Round(10 * time.Millisecond)
	fmt.Fprintf(out, "%s, %s, in %s: the new index has %s and %s\n", count(int(s.Files), "file", "files"), size(s.Bytes), took,
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
		fmt.Fprintf(out, "%s of deleted images can be deleted with 'mirror gc'\n", count(s.Deleted, "manifest", "manifests"))
	}
	if r.oldIndex != "" {
		fmt.Fprintln(out, "old index: "+r.oldIndex)
	}
}
