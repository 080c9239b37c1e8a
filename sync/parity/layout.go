package parity

import (
	"fmt"
	"math"

	"github.com/klauspost/reedsolomon"
)

const (
	// blockSize is the size of a block in bytes: that of a sector, so that a bad one costs one block.
	blockSize = 4 << 10
	// maxColumns is the maximum number of columns of a file. More make small damage cheaper to repair, and records larger.
	maxColumns = 200
	// maxShards is the maximum number of blocks of a code word.
	maxShards = 256
	// minParity is the minimum number of parity columns. A bad sector of the parity file can touch two records of a row, and must
	// not make a bad block of the row fatal.
	minParity = 3
	// maxSize is the maximum size of a file in bytes.
	maxSize = 1 << 50

	// MinRedundancy is the minimum redundancy in percent.
	MinRedundancy = 1
	// MaxRedundancy is the maximum redundancy in percent.
	MaxRedundancy = 100
)

// layout says how a file is divided into columns.
type layout struct {
	size    int64 // of the file in bytes
	columns int   // of the file
	parity  int   // columns of parity
}

// newLayout returns the layout of a file of size bytes with a redundancy in percent.
func newLayout(size int64, redundancy float64) (layout, error) {
	if !(redundancy >= MinRedundancy && redundancy <= MaxRedundancy) {
		return layout{}, fmt.Errorf("a redundancy of %v%% is out of range: choose from %d%% to %d%%", redundancy, MinRedundancy, MaxRedundancy)
	}
	if size > maxSize {
		return layout{}, fmt.Errorf("the file has %d bytes, and the limit is %d", size, int64(maxSize))
	}
	l := layout{size: size, columns: min(maxColumns, int(maxShards/(1+redundancy/100)))}
	rows := l.rows()
	l.columns = int(max(1, (l.blocks()+rows-1)/rows)) // a small file has fewer
	l.parity = max(minParity, int(math.Ceil(float64(l.columns)*redundancy/100)))
	return l, nil
}

// valid reports whether the fields of a record can be a layout.
func (l layout) valid() bool {
	return l.size >= 0 && l.size <= maxSize && l.columns >= 1 && l.columns <= maxColumns &&
		l.parity >= 1 && l.columns+l.parity <= maxShards
}

// blocks returns the number of blocks of the file. The last one may be shorter, and is padded with zeros.
func (l layout) blocks() int64 { return (l.size + blockSize - 1) / blockSize }

// rows returns the length of a column in blocks.
func (l layout) rows() int64 { return max(1, (l.blocks()+int64(l.columns)-1)/int64(l.columns)) }

// offset returns the offset of a block in the file.
func (l layout) offset(column int, row int64) int64 {
	return (int64(column)*l.rows() + row) * blockSize
}

// recordOffset returns the offset of a record in the parity file.
func (l layout) recordOffset(column int, row int64) int64 {
	return (int64(column)*l.rows() + row) * recordSize
}

// parityBytes returns the size of the parity file.
func (l layout) parityBytes() int64 { return l.rows() * int64(l.parity) * recordSize }

// code returns the Reed-Solomon code of a layout. The matrix of the library's default options is part of the format. The cache
// of the library would grow with the number of patterns of damage.
func (l layout) code() (reedsolomon.Encoder, error) {
	return reedsolomon.New(l.columns, l.parity, reedsolomon.WithInversionCache(false))
}
