package cache

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"

	"airmirror/cache/backend"
	"airmirror/cache/packed"
)

// CheckLocks makes the test fail if an update of the store reads or writes what the locks that it declares do not cover.
// Call it before the store is used.
func CheckLocks(t testing.TB, s *Store) {
	s.index = lockedIndex{s.index, t}
	s.recency.index = s.index
}

// lockedIndex checks the locks of updates.
type lockedIndex struct {
	backend.Index
	t testing.TB
}

func (x lockedIndex) Update(ctx context.Context, locks backend.Locks, f func(backend.WriteTx) error) error {
	if len(locks.Shared)+len(locks.Exclusive) == 0 {
		return x.Index.Update(ctx, locks, f)
	}
	return x.Index.Update(ctx, locks, func(tx backend.WriteTx) error { return f(lockedTx{tx, locks, x.t}) })
}

type lockedTx struct {
	backend.WriteTx
	locks backend.Locks
	t     testing.TB
}

// check fails unless an exclusive lock covers a key, or shared locks cover all its parts. The referrers are listed by the
// digest of the subject, which may be missing and is not locked: their keys have the digest of the manifest too.
func (tx lockedTx) check(action string, table backend.Table, k string) {
	shared := true
	for _, name := range lockNames(table, k) {
		if slices.Contains(tx.locks.Exclusive, name) {
			return
		}
		shared = shared && slices.Contains(tx.locks.Shared, name)
	}
	if !shared {
		tx.t.Errorf("an update %s %q of table %s, for which it has no lock: it declares %q", action, k, table, tx.locks)
	}
}

// lockNames returns the names of the locks that cover a key, or the prefix of a key.
func lockNames(table backend.Table, k string) (names []string) {
	layout, parts := keyLayouts[table], strings.Split(strings.TrimSuffix(k, "\x00"), "\x00")
	switch table {
	case tableMeta:
		return []string{clockLock}
	case tableState:
		return []string{lockedState(parts[0])}
	case tableRepos:
		return []string{"repository " + k}
	}
	for i, part := range parts {
		switch layout[i] {
		case packed.Digest:
			names = append(names, "digest "+part)
		case packed.Repo:
			names = append(names, "repository "+part)
		case packed.Text:
			names = append(names, fmt.Sprintf("tag %s:%s", parts[0], part))
		}
	}
	return names
}

func (tx lockedTx) Get(table backend.Table, key string) []byte {
	tx.check("reads", table, key)
	return tx.WriteTx.Get(table, key)
}

func (tx lockedTx) Scan(table backend.Table, prefix, after string) iter.Seq2[string, []byte] {
	tx.check("lists", table, prefix)
	return tx.WriteTx.Scan(table, prefix, after)
}

func (tx lockedTx) Put(table backend.Table, key string, value []byte) error {
	tx.check("writes", table, key)
	return tx.WriteTx.Put(table, key, value)
}

func (tx lockedTx) Insert(table backend.Table, key string, value []byte) error {
	tx.check("inserts", table, key)
	return tx.WriteTx.Insert(table, key, value)
}

func (tx lockedTx) Delete(table backend.Table, key string) error {
	tx.check("deletes", table, key)
	return tx.WriteTx.Delete(table, key)
}
