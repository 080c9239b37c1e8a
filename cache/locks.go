package cache

import (
	"context"
	"errors"
	"slices"

	"github.com/opencontainers/go-digest"

	"airmirror/cache/backend"
	"airmirror/mirror"
)

// The names of locks, see [backend.Locks]. Each update of this package declares the names of what it decides about:
//
//   - A digest covers the entry of the blob, its links, its uses and its parents in all repositories, and the manifests of
//     that digest. A manifest that is written has its own digest exclusively, and shares those that it names: a sweep cannot
//     delete them meanwhile, and two manifests with a common layer are written at the same time.
//   - A repository covers everything with its name in the key. Writers share it; the deletion of a manifest has it
//     exclusively, because it finds the tags and blobs that it changes only in its transaction.
//   - A tag covers the tag.
//   - A kind of state covers its records.
//
// Updates that share a digest or a repository may write the same entry only if the order does not matter. So an announced
// link and the record of a repository are added with [backend.WriteTx.Insert], which leaves an entry alone that another
// update has added.
//
// Updates that find what they change only in their transaction, and are rare or long, declare nothing and run alone: the
// sweep, repairs, migrations, and a manifest that gets another media type.

func lockedDigest(d digest.Digest) string { return "digest " + d.String() }
func lockedRepo(repo mirror.Repo) string  { return "repository " + repo.String() }
func lockedTag(name tagName) string       { return "tag " + name.String() }
func lockedState(kind string) string      { return "state " + kind }

// clockLock covers the record of the clock.
const clockLock = "clock"

// maxLocks is the number of names from which on an update rather runs alone: each name costs time and memory.
const maxLocks = 1000

// blobLocks are the locks of an update that changes the entry or the link of a blob in a repository.
func blobLocks(repo mirror.Repo, d digest.Digest) backend.Locks {
	locks := backend.Locks{Exclusive: []string{lockedDigest(d)}}
	if repo != (mirror.Repo{}) {
		locks.Shared = []string{lockedRepo(repo)}
	}
	return locks
}

// tagLocks are the locks of an update that changes a tag.
func tagLocks(name tagName) backend.Locks {
	return backend.Locks{Shared: []string{lockedRepo(name.repo)}, Exclusive: []string{lockedTag(name)}}
}

// locks are the locks of an update that writes the manifest.
func (p *manifestWrite) locks() (locks backend.Locks) {
	locks.Shared = append(locks.Shared, lockedRepo(p.repo))
	for d := range p.record.named() {
		locks.Shared = append(locks.Shared, lockedDigest(d))
	}
	locks.Exclusive = append(locks.Exclusive, lockedDigest(p.digest))
	for _, name := range p.tags {
		locks.Exclusive = append(locks.Exclusive, lockedTag(name))
	}
	return locks
}

// importLocks are the locks of an update that writes several manifests. A large import runs alone.
func importLocks(imports []*manifestWrite) (locks backend.Locks) {
	for _, p := range imports {
		one := p.locks()
		locks = backend.Locks{Shared: append(locks.Shared, one.Shared...), Exclusive: append(locks.Exclusive, one.Exclusive...)}
		if len(locks.Shared)+len(locks.Exclusive) > maxLocks {
			return backend.Locks{}
		}
	}
	return backend.Locks{Shared: sortedNames(locks.Shared), Exclusive: sortedNames(locks.Exclusive)}
}

func sortedNames(names []string) []string {
	slices.Sort(names)
	return slices.Compact(names)
}

// errNotAlone is returned by the function of an update that finds that it must run alone.
var errNotAlone = errors.New("the update must run alone")

// updateAlone runs an update with locks, and alone if its function returns errNotAlone for alone == false.
func updateAlone(ctx context.Context, index backend.Index, locks backend.Locks, f func(tx backend.WriteTx, alone bool) error) error {
	err := index.Update(ctx, locks, func(tx backend.WriteTx) error { return f(tx, false) })
	if errors.Is(err, errNotAlone) {
		err = index.Update(ctx, backend.Locks{}, func(tx backend.WriteTx) error { return f(tx, true) })
	}
	return err
}
