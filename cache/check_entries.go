package cache

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/cache/backend"
	"airmirror/mirror"
)

// entryCheck returns what is wrong with an entry of the index, or "". Because all invariants in schema.go hold in every
// transaction, one transaction is enough to decide.
type entryCheck func(tx backend.ReadTx, k string, value []byte) string

// entryChecks are the checks of entries that depend on others, in the order in which they run: manifests come before
// the entries that refer to them.
var entryChecks = []struct {
	table backend.Table
	rule  entryCheck
}{
	{tableRepos, repoDefect},
	{tableManifests, manifestDefect},
	{tableTags, tagDefect},
	{tableUses, useDefect},
	{tableLinks, linkDefect},
	{tableReferrers, referrerDefect},
	{tableRecency, recencyDefect},
	{tableParents, parentDefect},
	{tableTagged, taggedDefect},
	{tableRoots, rootDefect},
}

// entryCheckOf returns the check for a table, or nil.
func entryCheckOf(t backend.Table) entryCheck {
	for _, r := range entryChecks {
		if r.table == t {
			return r.rule
		}
	}
	return nil
}

// checkEntries checks the consistency of the index. It checks several pages of a table at a time; a table is complete
// before the next one begins.
func (c *check) checkEntries() bool {
	for _, r := range entryChecks {
		c.opts.Progress.SetCurrent("table " + string(r.table) + " of the index")
		pages := func(ctx context.Context) iter.Seq2[keyRange, error] { return c.keyRanges(ctx, r.table) }
		check := func(ctx context.Context, keys keyRange) ([]mirror.Defect, error) {
			return c.entryDefects(ctx, r.table, keys)
		}
		for found, err := range mirror.InOrder(c.ctx, pages, check) {
			if err != nil {
				return c.reportError("", err)
			}
			if slices.ContainsFunc(found, func(defect mirror.Defect) bool { return !c.reportEntry(defect) }) {
				return false
			}
		}
	}
	return true
}

// keyRange is a page of a table: the keys that are greater than after, up to last.
type keyRange struct{ after, last string }

// keyRanges yields the pages of a table.
func (c *check) keyRanges(ctx context.Context, t backend.Table) iter.Seq2[keyRange, error] {
	return func(yield func(keyRange, error) bool) {
		var page keyRange
		err := eachPage(ctx, c.index, t, "", checkPage, func(_ backend.ReadTx, k string, _ []byte) { page.last = k }, func() error {
			if page.last != page.after && !yield(page, nil) {
				return errStopped
			}
			page.after = page.last
			return nil
		})
		if err != nil && err != errStopped {
			yield(page, err)
		}
	}
}

// entryDefects checks a page of a table in one transaction. It reads the entries again, because what they depend on may
// have changed together with them. If the last one was deleted since, it checks some of the next page, too.
func (c *check) entryDefects(ctx context.Context, t backend.Table, page keyRange) (found []mirror.Defect, err error) {
	rule := entryCheckOf(t)
	err = c.index.View(ctx, func(tx backend.ReadTx) error {
		found = nil
		n := 0
		for k, value := range tx.Scan(t, "", page.after) {
			if reason := rule(tx, k, value); reason != "" {
				found = append(found, danglingDefect(t, k, reason))
			}
			if t == tableManifests {
				found = append(found, missingFiles(tx, k, value)...)
			}
			if n++; k == page.last || n == 2*checkPage {
				break
			}
		}
		return nil
	})
	return found, err
}

// reportEntry reports a defect of an entry. A missing entry whose file exists is not reported: checkOrphans has
// reported the file, unless it is about to be indexed.
func (c *check) reportEntry(defect mirror.Defect) bool {
	if defect.Kind == mirror.Missing {
		if _, err := c.blobs.Stat(c.ctx, defect.Digest); err == nil {
			return true
		}
	}
	return c.report(defect)
}

func danglingDefect(t backend.Table, k, reason string) mirror.Defect {
	return mirror.Defect{Kind: mirror.Dangling, Entry: string(t) + " " + strings.ReplaceAll(k, "\x00", " "), Reason: reason}
}

// parseEntry is the inverse of danglingDefect.
func parseEntry(entry string) (backend.Table, string) {
	t, k, _ := strings.Cut(entry, " ")
	return backend.Table(t), strings.ReplaceAll(k, " ", "\x00")
}

// keyDefect returns a reason unless a key has n parts.
func keyDefect(k string, n int) string {
	if strings.Count(k, "\x00") != n-1 {
		return "its key is malformed"
	}
	return ""
}

func repoDefect(_ backend.ReadTx, k string, value []byte) string {
	_, err := mirror.ParseRepo(k)
	if err == nil {
		_, err = decodeRecord[repoRecord](tableRepos, k, value)
	}
	if err != nil {
		return fmt.Sprintf("it cannot be read: %v; make a new index from the files and the last backup", err)
	}
	return ""
}

// manifestDefect returns a reason if an entry is missing that the manifest implies.
func manifestDefect(tx backend.ReadTx, k string, value []byte) string {
	if reason := keyDefect(k, 2); reason != "" {
		return reason
	}
	record, err := decodeRecord[manifestRecord](tableManifests, k, value)
	if err != nil || originRank(record.Origin) == 0 {
		return "the record of the manifest cannot be read"
	}
	repo, d := splitKey(k)[0], splitKey(k)[1]
	if !has(tx, tableRepos, repo) {
		return "its repository has no record"
	}
	if !has(tx, tableUses, key(d, repo, d)) {
		return "the use of its own file is missing"
	}
	for _, blob := range record.linked() {
		if !has(tx, tableLinks, key(blob.String(), repo)) {
			return fmt.Sprintf("the link of its repository to blob %s is missing", blob)
		}
	}
	for named := range record.named() {
		if !has(tx, tableUses, key(named.String(), repo, d)) {
			return fmt.Sprintf("the use of %s is missing", named)
		}
	}
	for _, child := range record.manifests() {
		if !has(tx, tableParents, key(child.String(), repo, d)) {
			return fmt.Sprintf("it is missing from the parents of %s", child)
		}
	}
	if record.Subject != "" && !has(tx, tableReferrers, key(repo, record.Subject.String(), d)) {
		return fmt.Sprintf("it is missing from the referrers of %s", record.Subject)
	}
	return ""
}

// missingFiles returns the files of a manifest that were stored and are not any more: its own file and, unless it was
// mirrored, the blobs that it needs and owned blobs that its repository could read.
func missingFiles(tx backend.ReadTx, k string, value []byte) (defects []mirror.Defect) {
	record, err := decodeRecord[manifestRecord](tableManifests, k, value)
	if err != nil || keyDefect(k, 2) != "" {
		return nil
	}
	repo, d := splitKey(k)[0], splitKey(k)[1]
	add := func(file digest.Digest, size int64, reason string) {
		if has(tx, tableBlobs, file.String()) {
			return
		}
		defect := mirror.Defect{Kind: mirror.Missing, Digest: file, Size: size, Reason: reason}
		if defect.Repos, defect.Manifest = reposUsing(tx, file); len(defect.Repos) == 0 {
			defect.Repos, defect.Manifest = []string{repo}, file.String() == d
		}
		defects = append(defects, defect)
	}
	add(digest.Digest(d), record.Size, "the file of a manifest is lost")
	if record.Origin == mirror.Mirrored {
		return defects
	}
	for _, blob := range record.Blobs {
		use, _, _ := getRecord[useRecord](tx, tableUses, key(blob.String(), repo, d)) // a record that cannot be decoded is a defect of its own
		add(blob, use.Size, fmt.Sprintf("%s@%s, which was %s, needs it, but its file is lost", repo, d, record.Origin))
	}
	for _, blob := range record.Owned {
		if link, found, err := getRecord[linkRecord](tx, tableLinks, key(blob.String(), repo)); err != nil || !found || link.Announced {
			continue // it may never have been stored
		}
		use, _, _ := getRecord[useRecord](tx, tableUses, key(blob.String(), repo, d))
		add(blob, max(0, use.Size), fmt.Sprintf("%s@%s, which was %s, names it, but its file is lost", repo, d, record.Origin))
	}
	return defects
}

func tagDefect(tx backend.ReadTx, k string, value []byte) string {
	if reason := keyDefect(k, 2); reason != "" {
		return reason
	}
	record, err := decodeRecord[tagRecord](tableTags, k, value)
	if err != nil {
		return "it cannot be read"
	}
	if !has(tx, tableManifests, key(splitKey(k)[0], record.Digest.String())) {
		return fmt.Sprintf("it points at manifest %s, which is not in its repository", record.Digest)
	}
	if !has(tx, tableTagged, key(splitKey(k)[0], record.Digest.String(), splitKey(k)[1])) {
		return "it is missing from the tags of its manifest"
	}
	return ""
}

// useDefect searches the record of the manifest for the digest without decoding it: there are many uses, and they are
// not in the order of the manifests.
func useDefect(tx backend.ReadTx, k string, value []byte) string {
	if reason := keyDefect(k, 3); reason != "" {
		return reason
	}
	if _, err := decodeRecord[useRecord](tableUses, k, value); err != nil {
		return "it cannot be read"
	}
	file, repo, d := splitKey(k)[0], splitKey(k)[1], splitKey(k)[2]
	record := tx.Get(tableManifests, key(repo, d))
	if record == nil {
		return "its manifest is not in the repository"
	}
	if file != d && !namesDigest(record, digest.Digest(file)) {
		return "the manifest does not name this blob"
	}
	return ""
}

func linkDefect(tx backend.ReadTx, k string, _ []byte) string {
	if reason := keyDefect(k, 2); reason != "" {
		return reason
	}
	if d := splitKey(k)[0]; has(tx, tableBlobs, d) || hasAny(tx, tableUses, prefix(d, splitKey(k)[1])) {
		return ""
	}
	return "its blob is not stored, and no manifest of the repository uses it"
}

func referrerDefect(tx backend.ReadTx, k string, value []byte) string {
	if reason := keyDefect(k, 3); reason != "" {
		return reason
	}
	if _, err := decodeRecord[v1.Descriptor](tableReferrers, k, value); err != nil {
		return "it cannot be read"
	}
	repo, subject, d := splitKey(k)[0], splitKey(k)[1], splitKey(k)[2]
	record, found, err := getRecord[manifestRecord](tx, tableManifests, key(repo, d))
	if err == nil && (!found || record.Subject.String() != subject) {
		return "its manifest is missing or has another subject"
	}
	return ""
}

func parentDefect(tx backend.ReadTx, k string, _ []byte) string {
	if reason := keyDefect(k, 3); reason != "" {
		return reason
	}
	child, repo, index := splitKey(k)[0], splitKey(k)[1], splitKey(k)[2]
	if !namesDigest(tx.Get(tableManifests, key(repo, index)), digest.Digest(child)) {
		return "its manifest is missing or does not name this child"
	}
	return ""
}

func taggedDefect(tx backend.ReadTx, k string, _ []byte) string {
	if reason := keyDefect(k, 3); reason != "" {
		return reason
	}
	repo, d, tag := splitKey(k)[0], splitKey(k)[1], splitKey(k)[2]
	record, found, err := getRecord[tagRecord](tx, tableTags, key(repo, tag))
	if err == nil && (!found || record.Digest.String() != d) {
		return "its tag is missing or points at another manifest"
	}
	return ""
}

func recencyDefect(tx backend.ReadTx, k string, _ []byte) string {
	if reason := keyDefect(k, 2); reason != "" {
		return reason
	}
	if !has(tx, tableManifests, k) && !has(tx, tableLinks, key(splitKey(k)[1], splitKey(k)[0])) {
		return "its content is not in the repository"
	}
	return ""
}

func rootDefect(tx backend.ReadTx, k string, value []byte) string {
	if reason := keyDefect(k, 2); reason != "" {
		return reason
	}
	if _, err := decodeRecord[rootRecord](tableRoots, k, value); err != nil {
		return "it cannot be read"
	}
	if !has(tx, tableManifests, k) {
		return "its manifest is not in the repository"
	}
	return ""
}
