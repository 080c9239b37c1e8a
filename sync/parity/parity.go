// Package parity protects one file against damage: it writes a parity file beside it, from which [Repair] rebuilds what is
// damaged, zeroed or unreadable. It does not know what the file contains. Bundles in several volumes have parity volumes
// instead, see package volume.
//
// # Format
//
// The file bundle.tar does not change. Its parity is bundle.tar-parity, a name that bundle.tar.* does not match. A reader of
// bundles needs only the first, and loses nothing by ignoring the second. Parity at the end of the file itself was
// considered: a file that is cut off would lose its end and its parity together, and not every reader accepts what follows
// the end of a tar.
//
// The file is divided into blocks of 4 KiB, the sector size of disks, and the blocks into columns of equal length: block r of
// column c is block c*rows+r of the file. Row r, block r of every column, is one code word of a Reed-Solomon code over GF(2^8).
// Of the blocks of a row and those of its parity, any as many can be lost as it has parity. Neighbouring blocks are in different
// rows, so that a long damaged range is spread over many of them. dvdisaster and par2 do the same.
//
// The parity file consists of records of 5 KiB, one for each row and parity column, column after column. There is no header
// that could be lost: every record has a checksum, says what it belongs to, and has the checksums of all blocks of its row.
// Any record of a row tells which of its blocks are damaged, and one is needed anyway to repair them.
//
// # What a repair proves
//
// Nothing about the origin: anyone who can change the file can change the parity. A repaired file gets its name when it has the
// SHA-256 digest that the file had when the parity was written, and an import verifies the signature and every digest as
// it always does.
//
// Writing, checking and repairing read all columns side by side in pieces of 128 KiB: the memory, less than 100 MiB, does not
// depend on the size of the file.
package parity

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
)

const (
	suffix     = "-parity"
	tempSuffix = "-part"
)

// Path returns the path of the parity of a file.
func Path(file string) string { return file + suffix }

// FileOf returns the path of the file that a parity file belongs to. ok is false if path is not the name of one.
func FileOf(path string) (file string, ok bool) {
	file, ok = strings.CutSuffix(path, suffix)
	return file, ok && filepath.Base(path) != suffix
}

// Exists reports whether there is parity beside a file.
func Exists(file string) bool {
	info, err := os.Stat(Path(file))
	return err == nil && info.Mode().IsRegular()
}

// openRegular opens a regular file for reading. Opening a named pipe could block for ever.
func openRegular(path string) (*os.File, int64, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, 0, err
	}
	if !info.Mode().IsRegular() {
		return nil, 0, errors.New(path + " is not a regular file")
	}
	file, err := os.Open(path)
	return file, info.Size(), err
}

// readPiece reads len(piece) bytes at an offset. Bytes after the end of the file are zeros.
func readPiece(file io.ReaderAt, piece []byte, at int64) error {
	n, err := file.ReadAt(piece, at)
	if err == io.EOF {
		clear(piece[n:])
		return nil
	}
	return err
}
