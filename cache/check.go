package cache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	"go.uber.org/zap"

	"airmirror/cache/backend"
	"airmirror/mirror"
)

const (
	// checkPage is the number of entries that one transaction of a check reads, so that no transaction lasts long.
	checkPage = 256
	// checkRepos is the maximum number of repositories in a defect.
	checkRepos = 100
	// orphanAge is the minimum age of an orphan. Files that are about to be indexed are locked as well; this is a
	// second safeguard.
	orphanAge = time.Minute
	// maxReported limits the memory for what was reported. Beyond it, a defect may be reported twice.
	maxReported = 1 << 16
)

// Defects implements [mirror.CheckStore]. It checks the index's own file first, then the files in the index by digest,
// then files that are not in the index, and finally the other entries of the index. In this order, a defect that is
// repaired during the check is not found again in the entries that depend on it.
func (s *Store) Defects(ctx context.Context, opts mirror.CheckOptions) iter.Seq2[mirror.Defect, error] {
	if opts.Read == nil {
		opts.Read = func(context.Context, int) error { return nil }
	}
	if opts.Checked == nil {
		opts.Checked = func(digest.Digest, int64) {}
	}
	if opts.Progress == nil {
		opts.Progress = mirror.NoProgress{}
	}
	return func(yield func(mirror.Defect, error) bool) {
		c := &check{Store: s, ctx: ctx, opts: opts, yield: yield, reported: make(map[string]bool)}
		_ = c.checkIndexFile() && c.expectBytes() && c.checkFiles() && c.checkOrphans() && c.checkEntries()
	}
}

// check is a run of [Store.Defects]. Its methods report whether to continue.
type check struct {
	*Store
	ctx      context.Context
	opts     mirror.CheckOptions
	yield    func(mirror.Defect, error) bool
	reported map[string]bool // digests and entries
}

// report yields a defect, unless it was reported before.
func (c *check) report(f mirror.Defect) bool {
	what := f.Entry + f.Digest.String()
	if c.reported[what] && what != "" {
		return true
	}
	if len(c.reported) < maxReported {
		c.reported[what] = true
	}
	return c.yield(f, nil)
}

// reportError yields an error for something that could not be checked; d is "" for the index.
func (c *check) reportError(d digest.Digest, err error) bool {
	if stopped := c.ctx.Err(); stopped != nil {
		c.yield(mirror.Defect{}, stopped)
		return false
	}
	if d == "" {
		c.yield(mirror.Defect{}, err)
		return false
	}
	return c.yield(mirror.Defect{Digest: d}, fmt.Errorf("check %s: %w", d, err))
}

// checkIndexFile checks the index's own file. A check that continues an earlier one skips it.
func (c *check) checkIndexFile() bool {
	checker, ok := c.index.(backend.Checker)
	if !ok || c.opts.After != "" {
		return true
	}
	c.opts.Progress.SetCurrent("the index")
	wrong, err := checker.Check(c.ctx)
	if err != nil {
		return c.reportError("", err)
	}
	if len(wrong) == 0 {
		return true
	}
	return c.report(mirror.Defect{Kind: mirror.Broken, Reason: fmt.Sprintf(
		"the file of the index is damaged: %v; stop the mirror and make a new index from the files and the last backup", wrong[0])})
}

// scan calls f with each entry of a table whose key is greater than after, and rest after each page of entries.
func (c *check) scan(t backend.Table, after string, f func(tx backend.ReadTx, k string, value []byte), rest func() bool) bool {
	err := eachPage(c.ctx, c.index, t, after, checkPage, f, func() error {
		if !rest() {
			return errStopped
		}
		return nil
	})
	if err != nil && err != errStopped {
		return c.reportError("", err)
	}
	return err == nil
}

// errStopped ends a walk early.
var errStopped = errors.New("stopped")

// reposUsing returns up to checkRepos repositories that may read d, have a manifest that needs d, or have d as a
// manifest. manifest reports whether d is a manifest in one of them. A repository that only owns d is not affected by
// its loss, and is left out.
func reposUsing(tx backend.ReadTx, d digest.Digest) (repos []string, manifest bool) {
	for after := ""; len(repos) < checkRepos; {
		repo := ""
		for k := range tx.Scan(tableUses, prefix(d.String()), after) {
			repo = splitKey(k)[1]
			break
		}
		if repo == "" {
			break
		}
		is := has(tx, tableManifests, key(repo, d.String()))
		if manifest = manifest || is; is || affected(tx, repo, d) {
			repos = append(repos, repo)
		}
		after = key(d.String(), repo, "\xff") // after all keys of this repository
	}
	return repos, manifest
}

// affected reports whether a repository may read d or has a manifest that needs it.
func affected(tx backend.ReadTx, name string, d digest.Digest) bool {
	repo, err := mirror.ParseRepo(name)
	if err != nil || linked(tx, repo, d) {
		return true
	}
	_, use, used, err := firstUse(tx, repo, d)
	return err != nil || used && !use.Owned
}

// splitKey is the inverse of key.
func splitKey(key string) []string { return strings.Split(key, "\x00") }

// Backup implements [mirror.CheckStore].
func (s *Store) Backup(ctx context.Context, w io.Writer) (int64, error) {
	copier, ok := s.index.(backend.Copier)
	if s.shared {
		return 0, mirror.Errorf(mirror.CodeUnsupported, "the index is in a database: back that up with its own tools, such as pg_dump, and then the bucket")
	}
	if !ok {
		return 0, mirror.Errorf(mirror.CodeUnsupported, "this index cannot be copied while it is in use")
	}
	if err := s.recency.flush(ctx); err != nil { // a backup matters most when nothing can be written any more
		s.options.Log.Warn("cannot write the times of last use; the backup lacks them", zap.Error(err))
	}
	n, err := copier.Copy(ctx, w)
	return n, explain(err, "back up the index")
}
