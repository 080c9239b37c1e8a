package parity

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"

	"github.com/klauspost/reedsolomon"

	"airmirror/mirror/durable"
)

// pieceRows is the number of rows that are encoded at a time. A piece of a column has 128 KiB, which bounds the memory and
// the number of seeks of a disk.
const pieceRows = 32

// Write reads the finished file and writes its parity, with a redundancy in percent of its size. digest is the SHA-256 digest
// of the file. The parity file replaces an existing one. It gets its name when it is complete and durable, so that a process
// that is killed leaves the file, and a part that the next Write reuses. The result is the size of the parity file.
func Write(file string, digest [32]byte, redundancy float64) (size int64, err error) {
	size, err = write(file, redundancy, identity{digest: digest})
	if err != nil {
		return 0, fmt.Errorf("write the parity of %s: %w", file, err)
	}
	return size, nil
}

// write is like Write. If id has a layout, it is used instead of the redundancy.
func write(file string, redundancy float64, id identity) (int64, error) {
	in, size, err := openRegular(file)
	if err != nil {
		return 0, err
	}
	defer in.Close()
	if id.columns == 0 {
		if id.layout, err = newLayout(size, redundancy); err != nil {
			return 0, err
		}
	}
	if size != id.size {
		return 0, fmt.Errorf("it has %d bytes and should have %d", size, id.size)
	}
	code, err := id.code()
	if err != nil {
		return 0, err
	}
	path := Path(file)
	out, err := newTemp(path)
	if err != nil {
		return 0, err
	}
	w := &writer{identity: id, code: code, in: in, out: out.File, shards: id.newShards(), records: make([]byte, pieceRows*recordSize)}
	if err = w.write(); err == nil {
		err = out.publish(path)
	}
	return id.parityBytes(), errors.Join(err, out.remove())
}

// newShards returns buffers for the rows of a piece: one for each column of the file and of parity.
func (l layout) newShards() [][]byte {
	rows := int(min(pieceRows, l.rows()))
	buffer := make([]byte, (l.columns+l.parity)*rows*blockSize)
	shards := make([][]byte, l.columns+l.parity)
	for i := range shards {
		shards[i] = buffer[i*rows*blockSize:][:rows*blockSize]
	}
	return shards
}

// writer writes the records of a file.
type writer struct {
	identity
	code    reedsolomon.Encoder
	in, out *os.File
	shards  [][]byte // pieceRows blocks of each column
	records []byte   // of one column
}

func (w *writer) write() error {
	for row := int64(0); row < w.rows(); row += pieceRows {
		if err := w.writeRows(row, int(min(pieceRows, w.rows()-row))); err != nil {
			return err
		}
	}
	return nil
}

// writeRows writes the records of n rows.
func (w *writer) writeRows(row int64, n int) error {
	shards := make([][]byte, len(w.shards))
	for i := range shards {
		shards[i] = w.shards[i][:n*blockSize]
	}
	for c := range w.columns {
		if err := readPiece(w.in, shards[c], w.offset(c, row)); err != nil {
			return err
		}
	}
	if err := w.code.Encode(shards); err != nil {
		return err
	}
	for i := range n {
		record := w.records[i*recordSize:][:recordSize]
		clear(record[checksumsAt:payloadAt])
		for c := range w.columns {
			sum := crc32.Checksum(shards[c][i*blockSize:][:blockSize], castagnoli)
			binary.BigEndian.PutUint32(record[checksumsAt+checksumSize*c:], sum)
		}
	}
	for p := range w.parity {
		for i := range n {
			record := w.records[i*recordSize:][:recordSize]
			copy(record[payloadAt:], shards[w.columns+p][i*blockSize:])
			w.encodeRecord(record, p, row+int64(i))
		}
		if _, err := w.out.WriteAt(w.records[:n*recordSize], w.recordOffset(p, row)); err != nil {
			return err
		}
	}
	return nil
}

// temp is a file that does not have its final name yet.
type temp struct {
	*os.File
	renamed bool
}

// newTemp creates the file that becomes path, or reuses the one that a killed process left.
func newTemp(path string) (*temp, error) {
	file, err := durable.CreateTemp(path + tempSuffix)
	return &temp{File: file}, err
}

// publish syncs the file and gives it its name, durably.
func (t *temp) publish(path string) error {
	if err := t.Sync(); err != nil {
		return err
	}
	if err := durable.RenameTemp(t.File, path); err != nil {
		return err
	}
	t.renamed = true
	return durable.SyncFolder(filepath.Dir(path))
}

// remove removes the file, unless it was renamed. It closes, and so unlocks, the file after that.
func (t *temp) remove() error {
	if t.renamed {
		return nil
	}
	err := os.Remove(t.Name())
	_ = t.Close()
	if err != nil { // some systems cannot remove open files
		err = os.Remove(t.Name())
	}
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	return err
}
