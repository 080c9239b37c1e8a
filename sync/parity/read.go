package parity

import (
	"bytes"
	"errors"
	"hash/crc32"
	"io"
	"os"

	"airmirror/mirror"
)

// reader reads a file and its parity side by side, and finds the blocks that are damaged.
type reader struct {
	identity
	file    io.ReaderAt
	parity  io.ReaderAt // its parity; layout.parity is the number of its columns
	present int64       // size of the file as it is
	closers []func()    // close both

	shards  [][]byte          // pieceRows blocks of each column
	records []byte            // of one parity column
	tables  [pieceRows][]byte // of each row, a record with its checksums; nil if none is readable
	missing [pieceRows][]bool // by row and column: the block is damaged or cannot be read
	table   [pieceRows][]byte // buffers of tables
}

// open opens a file, which may be missing or unreadable, and its parity.
func open(path string) (*reader, error) {
	parity, size, err := openRegular(Path(path))
	if errors.Is(err, os.ErrNotExist) {
		return nil, mirror.Errorf(mirror.CodeUnsupported, "%s has no parity: there is no %s beside it", path, Path(path))
	}
	if err != nil {
		return nil, err
	}
	r := &reader{parity: parity, file: bytes.NewReader(nil), closers: []func(){func() { parity.Close() }}}
	if r.identity, err = findIdentity(parity, size); err != nil {
		r.close()
		return nil, mirror.Errorf(mirror.CodeDigestInvalid, "%s cannot be used: %w", Path(path), err)
	}
	if size < r.rows()*recordSize { // which also bounds the work that an untrusted record causes
		r.close()
		return nil, mirror.Errorf(mirror.CodeDigestInvalid, "%s cannot be used: only %d of its %d bytes are left", Path(path), size, r.parityBytes())
	}
	file, present, err := openRegular(path)
	switch {
	case err == nil:
		r.file, r.present = file, present
		r.closers = append(r.closers, func() { file.Close() })
	case !errors.Is(err, os.ErrNotExist):
		r.close()
		return nil, err
	}
	r.shards, r.records = r.newShards(), make([]byte, pieceRows*recordSize)
	for i := range pieceRows {
		r.missing[i] = make([]bool, len(r.shards))
		r.table[i] = make([]byte, payloadAt)
	}
	return r, nil
}

func (r *reader) close() {
	for _, c := range r.closers {
		c()
	}
}

// findIdentity returns what the first intact record of a parity file says.
func findIdentity(parity io.ReaderAt, size int64) (identity, error) {
	buffer := make([]byte, pieceRows*recordSize)
	for at := int64(0); at < size; at += int64(len(buffer)) {
		found, ok := identity{}, false
		readUnits(parity, buffer, at, recordSize, func(i int, readable bool) {
			if ok || !readable {
				return
			}
			if id, _, _, err := parseRecord(buffer[i*recordSize:][:recordSize]); err == nil {
				found, ok = id, true
			}
		})
		if ok {
			return found, nil
		}
	}
	return identity{}, errors.New("none of its records is intact")
}

// readUnits fills buffer from an offset and tells for each unit of it, such as a sector, whether it can be read. After an error
// it reads unit by unit.
func readUnits(from io.ReaderAt, buffer []byte, at int64, unit int, tell func(i int, readable bool)) {
	n, _ := from.ReadAt(buffer, at)
	for i := 0; i*unit < len(buffer); i++ {
		part := buffer[i*unit : min((i+1)*unit, len(buffer))]
		readable := i*unit+len(part) <= n
		if !readable {
			got, _ := from.ReadAt(part, at+int64(i*unit))
			readable = got == len(part)
		}
		tell(i, readable)
	}
}

// load reads n rows and finds their missing blocks.
func (r *reader) load(row int64, n int) {
	for i := range n {
		clear(r.missing[i])
		r.tables[i] = nil
	}
	for p := range r.layout.parity {
		r.loadRecords(p, row, n)
	}
	for c := range r.columns {
		r.loadColumn(c, row, n)
	}
}

// loadRecords reads the records of n rows of a parity column.
func (r *reader) loadRecords(column int, row int64, n int) {
	shard := r.columns + column
	readUnits(r.parity, r.records[:n*recordSize], r.recordOffset(column, row), recordSize, func(i int, readable bool) {
		record := r.records[i*recordSize:][:recordSize]
		id, c, at, err := parseRecord(record)
		if !readable || err != nil || id != r.identity || c != column || at != row+int64(i) {
			r.missing[i][shard] = true
			return
		}
		copy(r.shards[shard][i*blockSize:][:blockSize], record[payloadAt:])
		if r.tables[i] == nil {
			r.tables[i] = r.table[i]
			copy(r.tables[i], record)
		}
	})
}

// loadColumn reads the blocks of n rows of a column of the file, and compares their checksums. Without a record of its row, a
// block that can be read is not known to be damaged.
func (r *reader) loadColumn(column int, row int64, n int) {
	blocks, at := r.shards[column][:n*blockSize], r.offset(column, row)
	content := blocks[:min(int64(len(blocks)), max(0, r.size-at))]
	clear(blocks[len(content):])
	readUnits(r.file, content, at, blockSize, func(i int, readable bool) { r.missing[i][column] = !readable })
	for i := range n {
		if r.tables[i] != nil && crc32.Checksum(blocks[i*blockSize:][:blockSize], castagnoli) != checksum(r.tables[i], column) {
			r.missing[i][column] = true
		}
	}
}

// count returns how many blocks of a loaded row are missing, of the file and of parity.
func (r *reader) count(i int) (blocks, parity int) {
	for c, missing := range r.missing[i] {
		switch {
		case !missing:
		case c < r.columns:
			blocks++
		default:
			parity++
		}
	}
	return blocks, parity
}
