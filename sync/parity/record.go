package parity

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash/crc32"
)

// A record has these parts, with numbers in big-endian order:
//
//	  0  magic
//	 16  CRC-32C of everything that follows
//	 20  number of columns of the file, of parity columns, and the column of this record, two bytes each; two zeros
//	 28  size of the file, and the row of this record, eight bytes each
//	 44  SHA-256 digest of the file
//	 76  zeros
//	128  CRC-32C of each block of the row, four bytes each, and zeros
//	1024 the block of parity
const (
	magic = "mirror-parity-1\n" // with the version of the format

	sumAt, fieldsAt, sizeAt, digestAt, zerosAt = 16, 20, 28, 44, 76
	checksumsAt, checksumSize                  = 128, 4
	payloadAt                                  = 1024
	recordSize                                 = payloadAt + blockSize
)

// castagnoli is the table of CRC-32C, for which processors have an instruction.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// identity is what all records of a parity file have in common.
type identity struct {
	layout
	digest [sha256.Size]byte // of the file
}

var (
	errNoRecord = errors.New("it is not a record of parity")
	errDamaged  = errors.New("the record is damaged")
)

// encodeRecord fills the head of a record that has its checksums of blocks and its payload.
func (id identity) encodeRecord(record []byte, column int, row int64) {
	clear(record[sumAt:checksumsAt])
	for i, n := range []int{id.columns, id.parity, column} {
		binary.BigEndian.PutUint16(record[fieldsAt+2*i:], uint16(n))
	}
	binary.BigEndian.PutUint64(record[sizeAt:], uint64(id.size))
	binary.BigEndian.PutUint64(record[sizeAt+8:], uint64(row))
	copy(record[digestAt:], id.digest[:])
	sealRecord(record)
}

// sealRecord writes the checksum of a record.
func sealRecord(record []byte) {
	copy(record, magic)
	binary.BigEndian.PutUint32(record[sumAt:], crc32.Checksum(record[fieldsAt:recordSize], castagnoli))
}

// parseRecord parses a record, which is untrusted, of recordSize bytes.
func parseRecord(record []byte) (id identity, column int, row int64, err error) {
	if len(record) != recordSize || !bytes.HasPrefix(record, []byte(magic)) {
		return id, 0, 0, errNoRecord
	}
	if crc32.Checksum(record[fieldsAt:], castagnoli) != binary.BigEndian.Uint32(record[sumAt:]) {
		return id, 0, 0, errDamaged
	}
	field := func(i int) int { return int(binary.BigEndian.Uint16(record[fieldsAt+2*i:])) }
	id.columns, id.parity, column = field(0), field(1), field(2)
	id.size = int64(binary.BigEndian.Uint64(record[sizeAt:]))
	row = int64(binary.BigEndian.Uint64(record[sizeAt+8:]))
	id.digest = [sha256.Size]byte(record[digestAt:])
	if !id.valid() || column >= id.parity || row < 0 || row >= id.rows() {
		return id, 0, 0, errDamaged
	}
	return id, column, row, nil
}

// checksum returns the checksum of a block of the record's row.
func checksum(record []byte, column int) uint32 {
	return binary.BigEndian.Uint32(record[checksumsAt+checksumSize*column:])
}
