package bolt

import (
	"context"
	"errors"
	"fmt"
	"os"

	"airmirror/cache/backend"
)

// salvageBatch is the number of entries in a transaction.
const salvageBatch = 1000

// Salvage copies the readable part of the index in the file at path to a new index in the file at to. It returns what
// it could not read. Use it for a file that Open refuses with [ErrDamaged]: it reads page by page, checks all bounds,
// and skips pages that do not match the tree. If the root page is damaged, it uses the state before the last
// transaction. err is an error of the new index only.
//
// bbolt has no checksums of pages: a value that was changed in an otherwise valid page is copied as it is.
func Salvage(ctx context.Context, path, to string) (unread []error, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	s := &salvage{ctx: ctx, file: file, seen: make(map[uint64]bool)}
	roots, err := s.roots()
	if err != nil {
		return []error{err}, nil
	}
	if s.index, err = Open(to); err != nil {
		return nil, err
	}
	err = s.copyRoots(roots)
	if err == nil {
		err = s.flush()
	}
	return s.unread, errors.Join(err, s.index.Close())
}

// salvage is the state of [Salvage].
type salvage struct {
	ctx      context.Context
	file     *os.File
	size     int64 // of the file
	pageSize int64
	seen     map[uint64]bool // pages that were read, so that a cycle in a damaged tree ends
	unread   []error

	index *Index
	table backend.Table
	batch []entry
}

// entry is an entry of a table.
type entry struct {
	table backend.Table
	key   string
	value []byte
}

// addUnread records something that could not be read.
func (s *salvage) addUnread(format string, args ...any) {
	s.unread = append(s.unread, fmt.Errorf(format, args...))
}

// copyRoots copies the tables of the first root that can be read.
func (s *salvage) copyRoots(roots []uint64) error {
	for _, root := range roots {
		p, err := s.readPage(root)
		if err != nil {
			s.addUnread("table list: page %d cannot be read: %w", root, err)
			continue
		}
		return s.copyTables(p)
	}
	return nil
}

// copyTables copies the tables that a page of the table list names.
func (s *salvage) copyTables(p page) error {
	return s.walkPage(p, "table list", keyRange{}, func(name string, flags uint32, value []byte) error {
		if flags&bucketFlag == 0 {
			s.addUnread("table list: entry %q is not a table", name)
			return nil
		}
		s.table = backend.Table(name)
		id, inline, err := bucketRoot(value)
		if err != nil {
			s.addUnread("table %s: %w", name, err)
			return nil
		}
		what := "table " + name
		if inline != nil {
			return s.walkLeaf(page{data: inline}, what, keyRange{}, s.addEntry)
		}
		return s.walk(id, what, keyRange{}, s.addEntry)
	})
}

// addEntry queues an entry.
func (s *salvage) addEntry(key string, flags uint32, value []byte) error {
	if flags != 0 || len(value) == 0 {
		s.addUnread("table %s: entry %q is invalid", s.table, key)
		return nil
	}
	s.batch = append(s.batch, entry{s.table, key, value})
	if len(s.batch) < salvageBatch {
		return nil
	}
	return s.flush()
}

// flush writes the queued entries.
func (s *salvage) flush() error {
	batch := s.batch
	s.batch = nil
	return s.index.Update(s.ctx, backend.Locks{}, func(tx backend.WriteTx) error {
		for _, e := range batch {
			if err := tx.Put(e.table, e.key, e.value); err != nil {
				return err
			}
		}
		return nil
	})
}
