package volume

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"
)

// Reader reads one volume. If the volume has a description, the Reader returns each block only after it verified the
// checksum of the block, and the last block only after it verified the digest of the volume. A Reader is not safe for
// concurrent use, except for Close.
type Reader struct {
	file *os.File
	name string
	size int64
	desc *Description // nil if the volume has none

	closed  atomic.Bool
	hash    hash.Hash // of the blocks before offset
	buffer  []byte    // of one block; nil before the first Read
	block   []byte    // verified bytes that Read has not returned yet
	offset  int64     // of the next byte to read from file
	checked bool      // the digest was verified
	err     error     // result of every later Read, if the volume has a description
}

// Open opens the volume path and its description, if there is one. It returns a [*DamagedError] if the size of the volume
// is wrong. If path is not the name of a volume, the file is read unchecked. The caller must call Close.
func Open(path string) (*Reader, error) {
	r, err := open(path)
	if err != nil {
		var damage *DamagedError
		if errors.As(err, &damage) {
			return nil, damage // its message needs no prefix
		}
		return nil, fmt.Errorf("open volume: %w", err)
	}
	return r, nil
}

func open(path string) (*Reader, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	desc, err := readDescription(path)
	if err != nil {
		return nil, err
	}
	name := filepath.Base(path)
	if desc != nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	if desc != nil && info.Size() != desc.Size {
		return nil, wrongSize(name, info.Size(), desc.Size)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	return &Reader{file: file, name: name, size: info.Size(), desc: desc, hash: sha256.New()}, nil
}

// Name returns the name of the file, without folders.
func (r *Reader) Name() string { return r.name }

// Size returns the size of the volume in bytes.
func (r *Reader) Size() int64 { return r.size }

// Description returns the description of the volume. ok is false if there is none, so that the volume is not checked.
func (r *Reader) Description() (d Description, ok bool) {
	if r.desc == nil {
		return Description{}, false
	}
	return *r.desc, true
}

// Read implements [io.Reader]. It returns a [*DamagedError] for damaged bytes and for read errors of the medium.
func (r *Reader) Read(p []byte) (int, error) {
	if r.closed.Load() {
		return 0, os.ErrClosed
	}
	if r.desc == nil {
		return r.readUnchecked(p)
	}
	if len(p) == 0 {
		return 0, nil
	}
	if len(r.block) == 0 && r.err == nil {
		r.block, r.err = r.nextBlock()
	}
	if len(r.block) == 0 {
		return 0, r.err
	}
	n := copy(p, r.block)
	r.block = r.block[n:]
	return n, nil
}

func (r *Reader) readUnchecked(p []byte) (int, error) {
	n, err := r.file.Read(p)
	if err != nil && err != io.EOF {
		err = r.readError(r.offset+int64(n), r.offset+int64(len(p))-1, err)
	}
	r.offset += int64(n)
	return n, err
}

// readError returns the error of Read for an error of the file.
func (r *Reader) readError(first, last int64, err error) error {
	if errors.Is(err, os.ErrClosed) {
		return os.ErrClosed
	}
	return unreadableAt(r.name, first, last, err)
}

// nextBlock returns the next block, verified, or io.EOF.
func (r *Reader) nextBlock() ([]byte, error) {
	if r.offset == r.size {
		return nil, r.checkDigest()
	}
	if r.buffer == nil {
		r.buffer = make([]byte, BlockSize)
	}
	first, n := r.offset, min(BlockSize, r.size-r.offset)
	block := r.buffer[:n]
	if read, err := io.ReadFull(r.file, block); err != nil {
		at := first + int64(read)
		if err == io.EOF || err == io.ErrUnexpectedEOF { // the file was truncated after Open
			return nil, wrongSize(r.name, at, r.size)
		}
		return nil, r.readError(at, first+n-1, err)
	}
	want := r.desc.Blocks[first/BlockSize*checksumSize:]
	if crc32.Checksum(block, castagnoli) != binary.BigEndian.Uint32(want) {
		return nil, damagedAt(r.name, first, first+n-1)
	}
	r.hash.Write(block)
	r.offset += n
	if r.offset == r.size {
		if err := r.checkDigest(); err != io.EOF {
			return nil, err
		}
	}
	return block, nil
}

// checkDigest verifies the digest of the volume, once, and returns io.EOF if it is right.
func (r *Reader) checkDigest() error {
	if !r.checked {
		want, err := hex.DecodeString(r.desc.Digest.Encoded())
		if err != nil || !bytes.Equal(r.hash.Sum(nil), want) {
			return damagedAt(r.name, 0, max(r.size-1, 0))
		}
		r.checked = true
	}
	return io.EOF
}

// Close closes the file. It may be called during a Read; later calls of Read return [os.ErrClosed]. This matters to callers
// that send a volume over HTTP: net/http may still read from a request body after the response has arrived.
func (r *Reader) Close() error {
	r.closed.Store(true)
	return r.file.Close()
}
