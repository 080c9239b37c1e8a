package backend

import (
	"context"
	"io"
	"iter"
)

// Index is an ordered, transactional map from keys to values in a few tables. Package cache/bolt implements it; every
// implementation passes cachetest.Index. Package cache expresses all metadata of a store in terms of this interface, so
// an implementation is small and cannot break an invariant. All methods are safe for concurrent use.
type Index interface {
	// View calls f with one consistent state. An index on another machine may call f again if the index has changed between
	// its reads: f must have no effects except on variables that it resets each time. Once f has scanned a table, it does
	// not run again.
	View(ctx context.Context, f func(ReadTx) error) error
	// Update calls f in a transaction, which is durable when Update returns nil. Updates whose locks allow it may run at
	// the same time, see [Locks]. Concurrent updates may be committed together, and then f may run more than once: it must
	// have no effects except on its transaction and on variables that it resets each time. If f fails, Update returns its
	// error and writes nothing. If ctx ends before f has run, Update returns its error; after that, Update waits for the
	// outcome.
	Update(ctx context.Context, locks Locks, f func(WriteTx) error) error
	// Close waits for running transactions and closes the files.
	Close() error
}

// Locks are the names of what an update reads in order to decide, and of what it writes. An update that declares no locks
// runs alone. Declared ones may run at the same time, on one node or on several, unless one of them has a name exclusively
// that the other one has too. A name in both lists is exclusive. Updates with a name in common run one after the other: the
// later one reads what the earlier one wrote, although neither has a snapshot of the whole index.
//
// The names are a convention of the caller; package cache documents its own. An index whose updates never run at the same
// time, such as cache/bolt, ignores them. An index that cannot afford many locks may let an update with many names run
// alone.
//
// The alternatives were tried. Serializable transactions that are repeated after a conflict lost acknowledged pushes while
// a sweep ran, and one lock for all updates made nodes wait for the commits of each other.
type Locks struct {
	Shared    []string
	Exclusive []string
}

// Checker is an [Index] that can check its own files.
type Checker interface {
	// Check returns up to a hundred defects of the files; none if they are in order. Updates wait until it returns.
	Check(ctx context.Context) (defects []error, err error)
}

// Queue is an [Index] that knows which updates wait.
type Queue interface {
	// Waiting reports whether an update waits for the one that is running. The running one may call it.
	Waiting() bool
}

// Copier is an [Index] that can be copied while it is in use.
type Copier interface {
	// Copy writes one consistent state of the index, in its own file format, and returns the number of bytes written.
	Copy(ctx context.Context, w io.Writer) (int64, error)
}

// Compactor is an [Index] whose file can be made smaller while it is in use.
type Compactor interface {
	// Usage returns the size of the file, and about how much of it [Compactor.Compact] would free.
	Usage() (size, free int64, err error)
	// Compact makes the file as small as its content allows, and returns its size before and after. Updates wait until it
	// returns; views do not. It needs as much room on the disk as the file has afterwards.
	Compact(ctx context.Context) (before, after int64, err error)
	// CheckFile returns an error if the file was removed, or replaced by somebody else.
	CheckFile() error
}

// Table is the name of a table of the index.
type Table string

// Key is a key of a table, or a prefix of keys.
type Key struct {
	Table  Table
	Key    string
	Prefix bool // all keys that begin with Key
}

// ReadTx reads the index. Values are valid until the transaction ends and must not be changed.
//
// An index on another machine can fail to read. After a failed read, everything reads as absent until the transaction ends,
// and View or Update returns the failure, whatever the function returns. So a function need not check each read, and it
// must not tell anybody what it found before the transaction has ended.
type ReadTx interface {
	// Get returns the value of a key, or nil if the table has no such key. A value is never empty.
	Get(t Table, key string) []byte
	// Scan yields, in byte order, the keys that begin with prefix and are greater than after, with their values. The table
	// must not be written to during the scan.
	Scan(t Table, prefix, after string) iter.Seq2[string, []byte]
	// Prefetch announces keys that Get will read, and prefixes that Scan will read from the beginning. An index on another
	// machine reads all of them in one request; another one does not iterate over them.
	Prefetch(keys iter.Seq[Key])
}

// WriteTx reads and writes the index. Reads return what the transaction wrote. They may also return what other functions
// wrote that are committed together with this one; those of functions that failed are never visible. Writes may be sent
// to the index with the commit.
type WriteTx interface {
	ReadTx
	// Put stores a value, which must not be changed afterwards. An empty value is an error.
	Put(t Table, key string, value []byte) error
	// Insert is Put if the table does not have the key when the transaction is committed. Otherwise it does nothing. So two
	// updates that share their locks may insert the same key.
	Insert(t Table, key string, value []byte) error
	// Delete deletes a key. A missing key is no error.
	Delete(t Table, key string) error
	// Lock takes one more exclusive lock, see [Locks]. Reads after it return what the earlier holders of the lock wrote. Two
	// updates that wait for each other would never end: an update takes at most one lock in this way, and none that others
	// declare.
	Lock(name string) error
}
