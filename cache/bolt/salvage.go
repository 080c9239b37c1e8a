package bolt

import (
	"context"
	"errors"
	"fmt"
	"os"

	"airmirror/cache/backend"
)

// salvageBatch is how many entries are written in a transaction.
const salvageBatch = 1000

// Salvage copies what can be read of the index in the file at path to a new index in the file at to, and returns what could
// not be read. It is for a file that Open refuses with [ErrDamaged]: it reads page by page, with bounds that are checked,
// and passes a page that is not what the tree says. Where the page cannot be read that everything else is found from, it takes
// the state before the last transaction. An error that it returns is about the new index.
//
// bbolt has no checksums of pages: a value that was changed inside a page that is whole otherwise is copied as it is.
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

// salvage is one under way.
type salvage struct {
	ctx      context.Context
	file     *os.File
	size     int64 // of the file
	pageSize int64
	seen     map[uint64]bool // pages, so that a damaged tree has an end
	unread   []error

	index *Index
	table backend.Table
	batch []entry
}

// entry is one of a table.
type entry struct {
	table backend.Table
	key   string
	value []byte
}

func (s *salvage) addUnread(format string, args ...any) {
	s.unread = append(s.unread, fmt.Errorf(format, args...))
}

// tables copies every table that the first of the roots names that can be read.
func (s *salvage) copyRoots(roots []uint64) error {
	for _, root := range roots {
		p, err := s.readPage(root)
		if err != nil {
			s.addUnread("the list of tables: page %d cannot be read: %w", root, err)
			continue
		}
		return s.copyTables(p)
	}
	return nil
}

// list copies the tables of the page that names them.
func (s *salvage) copyTables(p page) error {
	return s.walkPage(p, "the list of tables", keyRange{}, func(name string, flags uint32, value []byte) error {
		if flags&bucketFlag == 0 {
			s.addUnread("the list of tables has an entry %q that is none", name)
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

// entry queues one to be written.
func (s *salvage) addEntry(key string, flags uint32, value []byte) error {
	if flags != 0 || len(value) == 0 {
		s.addUnread("table %s: the entry %q cannot be read", s.table, key)
		return nil
	}
	s.batch = append(s.batch, entry{s.table, key, value})
	if len(s.batch) < salvageBatch {
		return nil
	}
	return s.flush()
}

func (s *salvage) flush() error {
	batch := s.batch
	s.batch = nil
	return s.index.Update(s.ctx, func(tx backend.WriteTx) error {
		for _, e := range batch {
			if err := tx.Put(e.table, e.key, e.value); err != nil {
				return err
			}
		}
		return nil
	})
}
