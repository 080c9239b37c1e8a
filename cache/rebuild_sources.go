package cache

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"

	"airmirror/cache/backend"
	"airmirror/cache/packed"
	"airmirror/mirror"
)

// sourceIndex is an index whose entries are copied to the new one.
type sourceIndex struct {
	backend.Index
	name       string                 // for messages
	unreadable map[backend.Table]bool // tables with an entry that could not be read
}

// readable returns an index through which the entries of index can be read, of whatever version it is.
func readable(ctx context.Context, index backend.Index) backend.Index {
	text := false
	err := index.View(ctx, func(tx backend.ReadTx) error {
		schema, found, err := getRecord[schemaRecord](tx, tableMeta, schemaKey)
		if known := found && err == nil; known {
			text = schema.Version < sameForm
		} else {
			text = !packed.IsPacked(tx)
		}
		return nil
	})
	if err == nil && text {
		return index
	}
	return packed.New(index, keyLayouts)
}

// oldIsComplete reports whether there is an old index and all entries of these tables could be read so far.
func (r *rebuild) oldIsComplete(tables ...backend.Table) bool {
	if r.sources.Old == nil || len(r.sources.Unreadable) > 0 {
		return false
	}
	return !slices.ContainsFunc(tables, func(t backend.Table) bool { return r.indexes[0].unreadable[t] })
}

// isIncomplete reports whether entries of a table may be missing because they could not be read.
func (r *rebuild) isIncomplete(from *sourceIndex, t backend.Table) bool {
	return from.unreadable[t] || from.Index == r.sources.Old && len(r.sources.Unreadable) > 0
}

// reportUnreadable reports a part of an index that could not be read.
func (r *rebuild) reportUnreadable(entry, reason string) {
	r.summary.Events[RebuildUnreadable]++
	r.report(RebuildEvent{Kind: RebuildUnreadable, Entry: entry, Reason: reason})
}

// reportEntry reports an entry that could not be read, or not completely.
func (r *rebuild) reportEntry(from *sourceIndex, t backend.Table, k, reason string) {
	from.unreadable[t] = true
	r.reportUnreadable(danglingDefect(t, k, "").Entry, "in "+from.name+": "+reason)
}

// checkSource returns an error for an index of a newer version, and for a backup that is not an index.
func (r *rebuild) checkSource(from *sourceIndex) error {
	return from.View(r.ctx, func(tx backend.ReadTx) error {
		schema, found, err := getRecord[schemaRecord](tx, tableMeta, schemaKey)
		switch {
		case schema.refused(from.name) != nil:
			return schema.refused(from.name)
		case err == nil && found:
		case from.Index == r.sources.Backup:
			return errors.Join(errors.New("the backup cannot be read"), err)
		case err != nil:
			r.reportEntry(from, tableMeta, schemaKey, err.Error())
		default:
			r.reportEntry(from, tableMeta, schemaKey, "it is missing")
		}
		return nil
	})
}

// copyIndexes copies the entries of the source indexes whose files are stored.
func (r *rebuild) copyIndexes() error {
	for _, from := range r.indexes {
		if err := r.copyIndex(from); err != nil {
			return err
		}
	}
	return nil
}

// copyIndex copies the entries of one index, in the order of their dependencies.
func (r *rebuild) copyIndex(from *sourceIndex) error {
	everything := func(backend.ReadTx, string) bool { return true }
	for _, part := range []func() error{
		func() error {
			return r.copyTable(from, tableMeta, stateEntryError, func(_ backend.ReadTx, k string) bool { return k != schemaKey })
		},
		func() error { return r.each(from, tableRepos, r.copyRepo) },
		func() error { return r.each(from, tableLinks, r.copyLink) },
		func() error { return r.each(from, tableManifests, r.copyManifest) },
		func() error { return r.copyUses(from) },
		func() error { return r.each(from, tableTags, r.copyTag) },
		func() error { return r.copyTagged(from) },
		func() error { return r.each(from, tableRoots, r.copyRoot) },
		func() error {
			return r.copyTable(from, tableRecency, recencyEntryError, func(tx backend.ReadTx, k string) bool { return recencyDefect(tx, k, nil) == "" })
		},
		func() error { return r.copyTable(from, tableState, stateEntryError, everything) },
	} {
		if err := errors.Join(part(), r.flush()); err != nil {
			return err
		}
	}
	return nil
}

// each calls f with every entry of a table, outside the transaction that read it.
func (r *rebuild) each(from *sourceIndex, t backend.Table, f func(from *sourceIndex, k string, value []byte) error) error {
	type entry struct {
		key   string
		value []byte
	}
	var page []entry
	err := eachPage(r.ctx, from, t, "", rebuildBatch, func(_ backend.ReadTx, k string, value []byte) {
		page = append(page, entry{k, bytes.Clone(value)})
	}, func() error {
		for _, e := range page {
			if err := f(from, e.key, e.value); err != nil {
				return err
			}
		}
		page = page[:0]
		return nil
	})
	return explain(err, "copy from %s", from.name)
}

// copyTable copies the entries that are valid and wanted, unless the new index has them.
func (r *rebuild) copyTable(from *sourceIndex, t backend.Table, fault func(k string, value []byte) error, wanted func(tx backend.ReadTx, k string) bool) error {
	return r.each(from, t, func(from *sourceIndex, k string, value []byte) error {
		if err := fault(k, value); err != nil {
			r.reportEntry(from, t, k, err.Error())
			return nil
		}
		return r.add(step{do: func(tx backend.WriteTx) error {
			if has(tx, t, k) || !wanted(tx, k) {
				return nil
			}
			encoded, err := reencode(t, k, value)
			if err != nil {
				return err
			}
			return tx.Put(t, k, encoded)
		}})
	})
}

func recencyEntryError(k string, value []byte) error {
	_, err := decodeRecord[recencyRecord](tableRecency, k, value)
	return errors.Join(contentKeyError(k), err)
}

// stateEntryError returns an error for a JSON object that is damaged. Other values cannot be checked.
func stateEntryError(_ string, value []byte) error {
	if value[0] == '{' != (value[len(value)-1] == '}') || value[0] == '{' && !json.Valid(value) {
		return errors.New("it is not a valid JSON object")
	}
	return nil
}

// contentKeyError returns an error unless a key consists of a repository and a digest.
func contentKeyError(k string) error {
	if reason := keyDefect(k, 2); reason != "" {
		return errors.New(reason)
	}
	return contentError(splitKey(k)[0], splitKey(k)[1])
}

func contentError(repo, d string) error {
	_, repoErr := mirror.ParseRepo(repo)
	_, digestErr := mirror.ParseDigest(d)
	return errors.Join(repoErr, digestErr)
}

// dropDeleted drops the manifests among the files that no repository of the old index has, if that is complete: they
// were deleted and not collected yet, or they are blobs. Other sources may still add them.
func (r *rebuild) dropDeleted() error {
	if !r.oldIsComplete(tableManifests, tableBlobs) {
		return nil
	}
	for _, d := range r.foundDigests() {
		var known, used bool
		if err := r.sources.Old.View(r.ctx, func(tx backend.ReadTx) error {
			known = has(tx, tableBlobs, d.String()) && !isManifest(tx, d)
			used = hasAny(tx, tableUses, prefix(d.String()))
			return nil
		}); err != nil {
			return err
		}
		if !known {
			continue
		}
		delete(r.found, d)
		if !used {
			r.summary.Deleted++
		}
	}
	return nil
}
