package cache

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/opencontainers/go-digest"

	"airmirror/cache/backend"
	"airmirror/cache/packed"
	"airmirror/mirror"
)

// Names that external tests need.
const (
	TableMeta      = tableMeta
	TableRepos     = tableRepos
	TableBlobs     = tableBlobs
	TableLinks     = tableLinks
	TableManifests = tableManifests
	TableUses      = tableUses
	TableTags      = tableTags
	TableReferrers = tableReferrers
	TableRecency   = tableRecency
	TableTagged    = tableTagged
	TableParents   = tableParents
	TableRoots     = tableRoots
)

// FlushRecency writes the pending uses.
func (s *Store) FlushRecency(ctx context.Context) error { return s.recency.flush(ctx) }

// ExpiryWaits reports whether the expiry of an upload waits for one that is starting.
func (s *Store) ExpiryWaits() bool {
	if s.starting.TryRLock() {
		s.starting.RUnlock()
		return false
	}
	return true
}

// Check returns the violations of the invariants in schema.go.
func Check(ctx context.Context, blobs backend.Blobs, index backend.Index) error {
	var broken []error
	report := func(format string, args ...any) { broken = append(broken, fmt.Errorf(format, args...)) }
	err := packed.New(index, keyLayouts).View(ctx, func(tx backend.ReadTx) error {
		checkFiles(ctx, tx, blobs, report)
		checkLinks(tx, report)
		checkUses(tx, report)
		checkManifests(tx, report)
		checkNames(tx, report)
		return nil
	})
	return errors.Join(append(broken, err)...)
}

func checkFiles(ctx context.Context, tx backend.ReadTx, blobs backend.Blobs, report func(string, ...any)) {
	for k, value := range tx.Scan(tableBlobs, "", "") {
		record, err := decodeRecord[blobRecord](tableBlobs, k, value)
		size, statErr := blobs.Stat(ctx, digest.Digest(k))
		if err != nil || statErr != nil || size != record.Size || record.Added.IsZero() {
			report("blob %s is recorded as %+v, its file has %d bytes: %w", k, record, size, errors.Join(err, statErr))
		}
	}
}

func checkLinks(tx backend.ReadTx, report func(string, ...any)) {
	for k := range tx.Scan(tableLinks, "", "") {
		d, name := splitKey(k)[0], splitKey(k)[1]
		repo, err := mirror.ParseRepo(name)
		_, _, used, useErr := firstUse(tx, repo, digest.Digest(d))
		if err != nil || useErr != nil || !used && !has(tx, tableBlobs, d) {
			report("%s links %s, which is neither held nor used: %w", name, d, errors.Join(err, useErr))
		}
	}
}

func checkUses(tx backend.ReadTx, report func(string, ...any)) {
	for k := range tx.Scan(tableUses, "", "") {
		file, repo, by := splitKey(k)[0], splitKey(k)[1], splitKey(k)[2]
		record, found, err := getRecord[manifestRecord](tx, tableManifests, key(repo, by))
		if err != nil || !found || file != by && !slices.Contains(slices.Collect(record.named()), digest.Digest(file)) {
			report("%s is used in %s by %s, which is not there or does not say so: %w", file, repo, by, err)
		}
		if file != by && !has(tx, tableLinks, key(file, repo)) && !slices.Contains(record.Children, digest.Digest(file)) {
			report("%s is used in %s by %s and not linked", file, repo, by)
		}
	}
}

func checkManifests(tx backend.ReadTx, report func(string, ...any)) {
	for k, value := range tx.Scan(tableManifests, "", "") {
		repo, d := splitKey(k)[0], splitKey(k)[1]
		record, err := decodeRecord[manifestRecord](tableManifests, k, value)
		if err != nil || originRank(record.Origin) == 0 || record.Added.IsZero() || record.MediaType == "" {
			report("manifest %q is recorded as %+v: %w", k, record, err)
		}
		if !has(tx, tableRepos, repo) || !has(tx, tableBlobs, d) || !has(tx, tableUses, key(d, repo, d)) {
			report("manifest %q lacks its repository, its file or the use of that", k)
		}
		for _, blob := range record.Blobs {
			if !has(tx, tableUses, key(blob.String(), repo, d)) {
				report("manifest %q has no use of %s", k, blob)
			}
			if record.Origin != mirror.Mirrored && !has(tx, tableBlobs, blob.String()) {
				report("manifest %q was %s and lacks %s", k, record.Origin, blob)
			}
		}
		for named := range record.named() {
			if !has(tx, tableUses, key(named.String(), repo, d)) {
				report("manifest %q has no use of %s", k, named)
			}
		}
		for _, child := range record.manifests() {
			if !has(tx, tableParents, key(child.String(), repo, d)) {
				report("index %q is not among the parents of %s", k, child)
			}
		}
		if record.Subject != "" && !has(tx, tableReferrers, key(repo, record.Subject.String(), d)) {
			report("manifest %q is not among the referrers of %s", k, record.Subject)
		}
	}
}

func checkNames(tx backend.ReadTx, report func(string, ...any)) {
	for k, value := range tx.Scan(tableTags, "", "") {
		record, err := decodeRecord[tagRecord](tableTags, k, value)
		if err != nil || !has(tx, tableManifests, key(splitKey(k)[0], record.Digest.String())) {
			report("tag %q points at %+v, which is not there: %w", k, record, err)
		}
		if !has(tx, tableTagged, key(splitKey(k)[0], record.Digest.String(), splitKey(k)[1])) {
			report("tag %q is not among those of %s", k, record.Digest)
		}
	}
	for k := range tx.Scan(tableTagged, "", "") {
		record, found, err := getRecord[tagRecord](tx, tableTags, key(splitKey(k)[0], splitKey(k)[2]))
		if err != nil || !found || record.Digest.String() != splitKey(k)[1] {
			report("tag %q by its manifest points elsewhere: %w", k, err)
		}
	}
	for k := range tx.Scan(tableParents, "", "") {
		record, found, err := getRecord[manifestRecord](tx, tableManifests, key(splitKey(k)[1], splitKey(k)[2]))
		if err != nil || !found || !slices.Contains(record.manifests(), digest.Digest(splitKey(k)[0])) {
			report("parent %q is not there or does not say so: %w", k, err)
		}
	}
	for k := range tx.Scan(tableReferrers, "", "") {
		record, found, err := getRecord[manifestRecord](tx, tableManifests, key(splitKey(k)[0], splitKey(k)[2]))
		if err != nil || !found || record.Subject.String() != splitKey(k)[1] {
			report("referrer %q is not there: %w", k, err)
		}
	}
	for k := range tx.Scan(tableRecency, "", "") {
		if !has(tx, tableManifests, k) {
			report("recency of %q, which is not there", k)
		}
	}
}
