package volume

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"sync"
)

// Reader reads one volume. Of one that has a description no block comes out before its checksum was verified, and the
// last one not before the digest of the whole was. It is not for concurrent use, but for Close.
type Reader struct {
	file        *os.File
	name        string
	size        int64
	description *Description // nil if there is none

	reading sync.Mutex // what follows is in use

	hasher  *hasher // nil until something was read, and of a volume without a description
	block   []byte  // verified and not handed out yet
	offset  int64   // of what the file has next
	checked bool    // against the digest
	err     error   // of every Read from now on, if it has a description
}

// Open opens the volume in path, with the description beside it if there is one; its size is checked at once, and a wrong
// one is a [*DamagedError]. A path that has no name of a volume is opened as it is, unchecked. The caller must call Close.
func Open(path string) (*Reader, error) {
	v, err := open(path)
	if err != nil {
		var damage *DamagedError
		if errors.As(err, &damage) {
			return nil, damage // says it all
		}
		return nil, fmt.Errorf("open volume: %w", err)
	}
	return v, nil
}

func open(path string) (*Reader, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	description, err := readDescription(path)
	if err != nil {
		return nil, err
	}
	name := filepath.Base(path)
	if description != nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	if description != nil && info.Size() != description.Size {
		return nil, wrongSize(name, info.Size(), description.Size)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	return &Reader{file: file, name: name, size: info.Size(), description: description}, nil
}

// Name returns the name of the volume's file, without folders.
func (v *Reader) Name() string { return v.name }

// Size returns how many bytes the volume has.
func (v *Reader) Size() int64 { return v.size }

// Description returns what is known about the volume; ok is false if it has no description, and is not checked.
func (v *Reader) Description() (d Description, ok bool) {
	if v.description == nil {
		return Description{}, false
	}
	return *v.description, true
}

// Read implements [io.Reader]. Damage is a [*DamagedError], and so is what the medium fails to read.
func (v *Reader) Read(p []byte) (int, error) {
	if v.description == nil {
		return v.readUnchecked(p)
	}
	if len(p) == 0 {
		return 0, nil
	}
	v.reading.Lock()
	defer v.reading.Unlock()
	if len(v.block) == 0 && v.err == nil {
		v.block, v.err = v.next()
	}
	if len(v.block) == 0 {
		return 0, v.err
	}
	n := copy(p, v.block)
	v.block = v.block[n:]
	return n, nil
}

func (v *Reader) readUnchecked(p []byte) (int, error) {
	n, err := v.file.Read(p)
	if errors.Is(err, os.ErrClosed) {
		return n, os.ErrClosed
	}
	if err != nil && err != io.EOF {
		err = unreadableAt(v.name, v.offset+int64(n), v.offset+int64(len(p))-1, err)
	}
	v.offset += int64(n)
	return n, err
}

// next returns the next block, verified, or io.EOF.
func (v *Reader) next() ([]byte, error) {
	if v.hasher == nil {
		v.hasher = newHasher()
	}
	if v.offset == v.size {
		return nil, v.end()
	}
	first, n := v.offset, min(BlockSize, v.size-v.offset)
	block := v.hasher.space()[:n]
	if read, err := io.ReadFull(v.file, block); err != nil {
		at := first + int64(read)
		if err == io.EOF || err == io.ErrUnexpectedEOF { // cut off since it was opened
			return nil, wrongSize(v.name, at, v.size)
		}
		return nil, unreadableAt(v.name, at, first+n-1, err)
	}
	want := v.description.Blocks[first/BlockSize*checksumSize:]
	if crc32.Checksum(block, castagnoli) != binary.BigEndian.Uint32(want) {
		return nil, damagedAt(v.name, first, first+n-1)
	}
	v.hasher.add(block)
	v.offset += n
	if v.offset == v.size {
		if err := v.end(); err != io.EOF {
			return nil, err
		}
	}
	return block, nil
}

// end checks the whole volume, once, and returns io.EOF if it is what it should be.
func (v *Reader) end() error {
	if !v.checked {
		want, err := hex.DecodeString(v.description.Digest.Encoded())
		if err != nil || !bytes.Equal(v.hasher.sum(), want) {
			return damagedAt(v.name, 0, max(v.size-1, 0))
		}
		v.checked = true
	}
	return io.EOF
}

// Close closes the file. Reading is over with it: a Read under way may end first, and others return [os.ErrClosed]. Who
// sends a volume cannot know that nothing reads it any more: net/http may read on in the body of a request that is answered.
func (v *Reader) Close() error {
	if v.description == nil { // may be a pipe, on which a Read waits, and closing it is what ends that
		return v.file.Close()
	}
	v.reading.Lock()
	defer v.reading.Unlock()
	if v.hasher != nil {
		v.hasher.stop()
		v.hasher = nil
	}
	v.block, v.err = nil, os.ErrClosed
	return v.file.Close()
}
