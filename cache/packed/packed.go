// Package packed stores the keys of an index in fewer bytes. It implements [backend.Index] on another one.
//
// The keys of package cache are parts of text joined by a NUL byte. Most parts are digests, of 71 bytes, and names of
// repositories, which occur in every key of a repository. A [Layout] says what the parts of a table's keys are; a table
// without a layout is stored as it is. In the index below, a key is the concatenation of its parts:
//
//   - A digest is one byte for its algorithm and the digest in binary. A digest that is equal to the first digest of the
//     key is one byte.
//   - A repository is a number of 1 to 4 bytes, see number. Two tables of the index below assign it: names, from name to
//     number, and ids, from number to name. The number of a repository is assigned by the first key with its name, and
//     is never changed, deleted or used again.
//   - Text is stored as it is, and must be the last part.
//
// No part is a prefix of another one of its kind, so no separator is needed.
//
// A key that does not have its layout is stored as a zero byte and its text. A key below that cannot be decoded, which
// only damage explains, is presented as the byte 0xff and its bytes; so it can be listed and deleted.
//
// # Order
//
// Scans are in byte order of the keys as the caller sees them, like those of every index, with two exceptions. Where a
// repository follows a digest, the keys of one digest are in the order of the numbers of repositories. Keys that do not
// have their layout come last, or last in their repository. In any case, a scan that begins after a key continues where
// an earlier one has yielded that key.
package packed

import (
	"context"
	"errors"
	"io"

	"airmirror/cache/backend"
)

// The tables that this package adds.
const (
	// tableNames: name of a repository → number.
	tableNames backend.Table = "names"
	// tableIDs: number → name of a repository. The key lastNumber has the number that was assigned last.
	tableIDs backend.Table = "ids"
)

// Part is a kind of part of a key.
type Part int

// The kinds of parts.
const (
	Text Part = iota
	Repo
	Digest
)

// Layout lists the parts of the keys of a table.
type Layout []Part

// Index implements [backend.Index], and what [backend.Checker], [backend.Copier] and [backend.Compactor] the index below
// implements.
type Index struct {
	below   backend.Index
	layouts map[backend.Table]Layout
	names   nameCache
}

var (
	_ backend.Index     = (*Index)(nil)
	_ backend.Checker   = (*Index)(nil)
	_ backend.Copier    = (*Index)(nil)
	_ backend.Queue     = (*Index)(nil)
	_ backend.Compactor = (*Index)(nil)

	_ backend.Compactor = (*Index)(nil)
)

// New returns an index that stores its keys in below. The layout of a table must not change while it has entries.
func New(below backend.Index, layouts map[backend.Table]Layout) *Index {
	return &Index{below: below, layouts: layouts, names: newNameCache()}
}

// IsPacked reports whether an index has keys that this package stored.
func IsPacked(tx backend.ReadTx) bool { return tx.Get(tableIDs, lastNumber) != nil }

// View implements [backend.Index].
func (x *Index) View(ctx context.Context, f func(backend.ReadTx) error) error {
	return x.below.View(ctx, func(tx backend.ReadTx) error { return f(&readTx{index: x, tx: tx, committed: true}) })
}

// Update implements [backend.Index].
func (x *Index) Update(ctx context.Context, locks backend.Locks, f func(backend.WriteTx) error) error {
	return x.below.Update(ctx, locks, func(tx backend.WriteTx) error {
		return f(&writeTx{readTx: readTx{index: x, tx: tx}, tx: tx})
	})
}

// Close implements [backend.Index].
func (x *Index) Close() error { return x.below.Close() }

// Waiting implements [backend.Queue]. An index that does not know reports true.
func (x *Index) Waiting() bool {
	queue, ok := x.below.(backend.Queue)
	return !ok || queue.Waiting()
}

// Check implements [backend.Checker]. An index that cannot be checked has no defects.
func (x *Index) Check(ctx context.Context) (defects []error, err error) {
	checker, ok := x.below.(backend.Checker)
	if !ok {
		return nil, nil
	}
	return checker.Check(ctx)
}

// Usage implements [backend.Compactor]. It returns [errors.ErrUnsupported] for an index that cannot be compacted.
func (x *Index) Usage() (size, free int64, err error) {
	compactor, ok := x.below.(backend.Compactor)
	if !ok {
		return 0, 0, errors.ErrUnsupported
	}
	return compactor.Usage()
}

// Compact implements [backend.Compactor].
func (x *Index) Compact(ctx context.Context) (before, after int64, err error) {
	compactor, ok := x.below.(backend.Compactor)
	if !ok {
		return 0, 0, errors.ErrUnsupported
	}
	return compactor.Compact(ctx)
}

// CheckFile implements [backend.Compactor].
func (x *Index) CheckFile() error {
	if compactor, ok := x.below.(backend.Compactor); ok {
		return compactor.CheckFile()
	}
	return nil
}

// Copy implements [backend.Copier]. It returns [errors.ErrUnsupported] for an index that cannot be copied.
func (x *Index) Copy(ctx context.Context, w io.Writer) (int64, error) {
	copier, ok := x.below.(backend.Copier)
	if !ok {
		return 0, errors.ErrUnsupported
	}
	return copier.Copy(ctx, w)
}
