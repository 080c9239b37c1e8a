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
	// checkPage is how many entries of the index are looked at in one transaction: none lasts as long as a check.
	checkPage = 256
	// checkRepos is how many repositories a defect names.
	checkRepos = 100
	// orphanAge is how old a file must be to be an orphan, though what is being written is known by its guard.
	orphanAge = time.Minute
	// maxReported bounds the memory of what was yielded. Beyond it something may be yielded twice.
	maxReported = 1 << 16
)

// Defects implements [mirror.CheckStore]. The index's own file comes first, then the files that the index names, in the
// order of their digests, then those that it does not name, and at last its other entries: so what is repaired on the way
// is not found again in what follows from it.
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

// check is one run of Flaws. Its methods report whether to go on.
type check struct {
	*Store
	ctx      context.Context
	opts     mirror.CheckOptions
	yield    func(mirror.Defect, error) bool
	reported map[string]bool // digests and entries
}

// defect yields f, unless that was done.
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

// unread yields why something could not be checked; d is "" if that is the index.
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

// checkIndexFile has the index look at its own file, which is not done again by a check that goes on.
func (c *check) checkIndexFile() bool {
	checker, ok := c.index.(backend.Checker)
	if !ok || c.opts.After != "" {
		return true
	}
	c.opts.Progress.Doing("the index")
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

// scan calls f with each entry of a table after a key, a page of them in each transaction; rest is called after each.
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

// errStopped ends a walk whose caller needs no more.
var errStopped = errors.New("stopped")

// users lists repositories that may read d, or have a manifest that needs d or is d, the first checkRepos of them. One that
// merely has a manifest which names d lacks nothing without it.
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
		after = key(d.String(), repo) + "\x01" // behind all of the repository's, before any other's
	}
	return repos, manifest
}

// concerned reports whether a repository may read d, or has a manifest that needs it.
func affected(tx backend.ReadTx, name string, d digest.Digest) bool {
	repo, err := mirror.ParseRepo(name)
	if err != nil || linked(tx, repo, d) {
		return true
	}
	_, use, used, err := firstUse(tx, repo, d)
	return err != nil || used && !use.Owned
}

// parts is the opposite of key.
func splitKey(key string) []string { return strings.Split(key, "\x00") }

// Backup implements [mirror.CheckStore].
func (s *Store) Backup(ctx context.Context, w io.Writer) (int64, error) {
	copier, ok := s.index.(backend.Copier)
	if !ok {
		return 0, mirror.Errorf(mirror.CodeUnsupported, "this index cannot be copied while it is in use")
	}
	if err := s.recency.flush(ctx); err != nil { // a backup is worth the most where nothing can be written any more
		s.options.Log.Warn("the backup lacks what was used last", zap.Error(err))
	}
	n, err := copier.Copy(ctx, w)
	return n, explain(err, "back up the index")
}
