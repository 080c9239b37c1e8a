package cache

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"airmirror/cache/backend"
	"airmirror/mirror"
)

// knownIndex is an index that a new one takes over what it can of.
type knownIndex struct {
	backend.Index
	name   string                 // in sentences
	unread map[backend.Table]bool // something in this table could not be read
}

// knows reports whether there is an old index, and all of these tables could be read so far.
func (r *rebuild) knows(tables ...backend.Table) bool {
	if r.sources.Old == nil || len(r.sources.Unread) > 0 {
		return false
	}
	return !slices.ContainsFunc(tables, func(t backend.Table) bool { return r.known[0].unread[t] })
}

// doubts reports whether a table of an index may lack something that was in it.
func (r *rebuild) doubts(from *knownIndex, t backend.Table) bool {
	return from.unread[t] || from.Index == r.sources.Old && len(r.sources.Unread) > 0
}

// unread tells of what could not be read.
func (r *rebuild) unread(entry, reason string) {
	r.summary.Events[RebuildUnread]++
	r.tell(RebuildEvent{Kind: RebuildUnread, Entry: entry, Reason: reason})
}

// unreadEntry tells of an entry that could not be read, or not all of it.
func (r *rebuild) unreadEntry(from *knownIndex, t backend.Table, k, reason string) {
	from.unread[t] = true
	r.unread(dangling(t, k, "").Entry, "in "+from.name+": "+reason)
}

// checkKnown refuses an index that a later version has written, and a backup that is none.
func (r *rebuild) checkKnown(from *knownIndex) error {
	return from.View(r.ctx, func(tx backend.ReadTx) error {
		schema, found, err := get[schemaRecord](tx, tableMeta, schemaKey)
		switch {
		case schema.Version > schemaVersion:
			return fmt.Errorf("%s was written by a newer version of this program (schema %d, this one knows %d): use that",
				from.name, schema.Version, schemaVersion)
		case err == nil && found:
		case from.Index == r.sources.Backup:
			return errors.Join(errors.New("the backup is not one that can be read"), err)
		case err != nil:
			r.unreadEntry(from, tableMeta, schemaKey, err.Error())
		default:
			r.unreadEntry(from, tableMeta, schemaKey, "it is missing")
		}
		return nil
	})
}

// indexes takes over what the indexes say that are known, as far as there are files for it.
func (r *rebuild) indexes() error {
	for _, from := range r.known {
		if err := r.takeOver(from); err != nil {
			return err
		}
	}
	return nil
}

// takeOver takes over what an index says. What tells whether others are right comes before them.
func (r *rebuild) takeOver(from *knownIndex) error {
	everything := func(backend.ReadTx, string) bool { return true }
	for _, part := range []func() error{
		func() error {
			return r.copy(from, tableMeta, noteFault, func(_ backend.ReadTx, k string) bool { return k != schemaKey })
		},
		func() error { return r.each(from, tableRepos, r.knownRepo) },
		func() error { return r.each(from, tableLinks, r.knownLink) },
		func() error { return r.each(from, tableManifests, r.knownManifest) },
		func() error { return r.knownUses(from) },
		func() error { return r.each(from, tableTags, r.knownTag) },
		func() error { return r.knownTagged(from) },
		func() error { return r.each(from, tableRoots, r.knownRoot) },
		func() error {
			return r.copy(from, tableRecency, recencyFault, func(tx backend.ReadTx, k string) bool { return wrongRecency(tx, k, nil) == "" })
		},
		func() error { return r.copy(from, tableNotes, noteFault, everything) },
	} {
		if err := errors.Join(part(), r.flush()); err != nil {
			return err
		}
	}
	return nil
}

// each calls f with every entry of a table of an index, after the transaction in which it was read.
func (r *rebuild) each(from *knownIndex, t backend.Table, f func(from *knownIndex, k string, value []byte) error) error {
	for after := ""; ; {
		var keys []string
		var values [][]byte
		err := from.View(r.ctx, func(tx backend.ReadTx) error {
			for k, value := range tx.Scan(t, "", after) {
				keys, values = append(keys, k), append(values, bytes.Clone(value))
				if len(keys) == rebuildBatch {
					break
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("read table %s of %s: %w", t, from.name, err)
		}
		for i, k := range keys {
			after = k
			if err := f(from, k, values[i]); err != nil {
				return err
			}
		}
		if len(keys) < rebuildBatch {
			return nil
		}
	}
}

// copy takes over the entries of a table that are in order, wanted and not there.
func (r *rebuild) copy(from *knownIndex, t backend.Table, fault func(k string, value []byte) error, wanted func(tx backend.ReadTx, k string) bool) error {
	return r.each(from, t, func(from *knownIndex, k string, value []byte) error {
		if err := fault(k, value); err != nil {
			r.unreadEntry(from, t, k, err.Error())
			return nil
		}
		return r.add(step{do: func(tx backend.WriteTx) error {
			if has(tx, t, k) || !wanted(tx, k) {
				return nil
			}
			return tx.Put(t, k, value)
		}})
	})
}

func recencyFault(k string, value []byte) error {
	_, err := decode[recencyRecord](tableRecency, k, value)
	return errors.Join(keyFault(k), err)
}

// noteFault finds an object of JSON that is none any more. Other notes are texts of which only who wrote them knows more.
func noteFault(_ string, value []byte) error {
	if value[0] == '{' != (value[len(value)-1] == '}') || value[0] == '{' && !json.Valid(value) {
		return errors.New("it is not an object of JSON any more")
	}
	return nil
}

// keyFault says what is wrong with a key of a repository and a digest.
func keyFault(k string) error {
	if reason := malformed(k, 2); reason != "" {
		return errors.New(reason)
	}
	return contentFault(parts(k)[0], parts(k)[1])
}

func contentFault(repo, d string) error {
	_, repoErr := mirror.ParseRepo(repo)
	_, digestErr := mirror.ParseDigest(d)
	return errors.Join(repoErr, digestErr)
}

// deleted forgets the manifests that were found and that no repository of an old index has which could be read: they were
// deleted and are not collected yet, or they are blobs. What another source has of them is taken from there.
func (r *rebuild) deleted() error {
	if !r.knows(tableManifests, tableBlobs) {
		return nil
	}
	for _, d := range r.digests() {
		var known, used bool
		if err := r.sources.Old.View(r.ctx, func(tx backend.ReadTx) error {
			known = has(tx, tableBlobs, d.String()) && !recorded(tx, d)
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
