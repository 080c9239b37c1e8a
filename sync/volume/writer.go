package volume

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"unicode/utf8"

	"github.com/opencontainers/go-digest"

	"airmirror/sync/parity"
)

// Options describe a stream to [Create]. The zero value works.
type Options struct {
	// Total is the size of the stream in bytes, or 0 if it is unknown. If it is known, all descriptions contain the number of
	// volumes, and a stream of another size is an error.
	Total int64
	// Bundle and Title are copied to the descriptions, see [Description].
	Bundle, Title string
	// Overwrite replaces an existing file or set of volumes. All old volumes are removed when the first new one is complete.
	Overwrite bool
	// Parity is the number of parity volumes, from which [Repair] rebuilds as many volumes that are lost or damaged. They are
	// written in Close, which reads all volumes again. There are none of a plain file.
	Parity int
	// Redundancy is the redundancy of the parity of a plain file in percent, or 0 for none; see [parity.Write]. It is written in
	// Close, which reads the file again.
	Redundancy float64
}

// Writer writes a stream into volumes or into one plain file. It is not safe for concurrent use.
type Writer struct {
	prefix   string // path argument of Create
	size     int64  // maximum size of a volume; 0 for one plain file
	opts     Options
	digits   int      // of volume numbers
	count    int      // number of volumes; 0 if it is unknown
	replaced []string // existing files to overwrite

	temp   *tempFile // the volume that is being written; nil after Close and Abort
	hash   hash.Hash // of the blocks in temp
	buffer []byte    // bytes that are not in temp yet, up to one block
	blocks []byte    // checksums of the blocks in temp

	offset  int64         // of temp in the stream
	volumes []Description // finished ones
	// described are the same with their Blocks, if parity is written. parity are the parity volumes.
	described, parity []Description
	protected         int64    // size of the parity of a plain file
	created           []string // files that have their final names
	closed            bool     // Close succeeded, or Abort was called
	err               error    // result of every later call
}

// Create returns a Writer for volumes of at most size bytes, which are named after path. If size is 0, it is a Writer for
// the plain file path, which has no description. Create returns an error if there is a folder, device or pipe of that name,
// and a [*fs.PathError] that wraps [fs.ErrExist] if there is a file and opts.Overwrite is not set.
//
// The caller must call Close, and Abort after any error. Abort after a successful Close does nothing.
func Create(path string, size int64, opts Options) (*Writer, error) {
	w := &Writer{prefix: path, size: size, opts: opts, digits: minDigits, hash: sha256.New(), buffer: make([]byte, 0, BlockSize)}
	if err := w.begin(); err != nil {
		if errors.Is(err, os.ErrExist) {
			return nil, err // it names the file
		}
		return nil, fmt.Errorf("create %s: %w", path, err)
	}
	return w, nil
}

// CheckNew returns the error of [Create] for a file that it would replace, if there is one. It is for programs that want to
// know before they prepare the content.
func CheckNew(path string, size int64) error {
	existing, err := existingFiles(path, size > 0)
	if err == nil && len(existing) > 0 {
		err = existsError(existing[0])
	}
	return err
}

func (w *Writer) begin() error {
	if err := w.check(); err != nil {
		return err
	}
	if w.size > 0 && w.opts.Total > 0 {
		volumes := (w.opts.Total-1)/w.size + 1
		if volumes > int64(maxNumber(maxDigits)) {
			return fmt.Errorf("%d bytes make %d volumes, and the limit is %d: choose larger volumes", w.opts.Total, volumes, maxNumber(maxDigits))
		}
		if volumes+int64(w.opts.Parity) > MaxShards && w.opts.Parity > 0 {
			_, err := newCode(int(volumes), w.opts.Parity)
			return err
		}
		w.count = int(volumes)
		w.digits = max(minDigits, len(fmt.Sprint(volumes)))
	}
	temp, err := newTempFile(w.prefix)
	if err != nil {
		return err
	}
	if w.replaced, err = existingFiles(w.prefix, w.size > 0); err == nil && len(w.replaced) > 0 && !w.opts.Overwrite {
		err = existsError(w.replaced[0])
	}
	if err != nil {
		return errors.Join(err, temp.remove())
	}
	w.temp = temp
	return nil
}

func (w *Writer) check() error {
	_, _, isVolume := Parse(w.prefix)
	base := filepath.Base(w.prefix)
	switch {
	case base == "." || base == ".." || !strings.HasSuffix(w.prefix, base):
		return errors.New("this is not a file name")
	case w.size < 0 || w.size > MaxSize:
		return fmt.Errorf("volume size %d is out of range: the maximum is %d bytes", w.size, int64(MaxSize))
	case w.opts.Total < 0:
		return fmt.Errorf("stream size %d is negative", w.opts.Total)
	case w.opts.Parity < 0 || w.opts.Parity >= MaxShards:
		return fmt.Errorf("%d parity volumes are out of range: the maximum is %d", w.opts.Parity, MaxShards-1)
	case w.size == 0 && w.opts.Parity > 0:
		return errors.New("a plain file has no parity: write volumes")
	case w.size > 0 && w.opts.Redundancy != 0:
		return errors.New("volumes have no redundancy in percent: set their number of parity volumes")
	case w.size == 0 && isVolume:
		return errors.New("this is the name of a volume, and the file would be read as one: choose another name")
	case w.size > 0 && !utf8.ValidString(base):
		return errors.New("the name is not valid UTF-8, and a description cannot contain it: choose another name")
	}
	return errors.Join(checkText("bundle", w.opts.Bundle), checkText("title", w.opts.Title))
}

// Write implements [io.Writer]. A volume gets its final name when the first byte after it is written, or in Close.
func (w *Writer) Write(p []byte) (int, error) {
	if w.temp == nil && w.err == nil {
		return 0, fmt.Errorf("write %s: %w", w.prefix, os.ErrClosed)
	}
	n := 0
	for len(p) > n && w.err == nil {
		if w.err = w.makeRoom(int64(len(p) - n)); w.err != nil {
			break
		}
		space := w.buffer[len(w.buffer):w.limit()]
		copied := copy(space, p[n:])
		w.buffer, n = w.buffer[:len(w.buffer)+copied], n+copied
	}
	return n, w.err
}

// limit returns the maximum length of the buffer: one block, or the rest of the volume.
func (w *Writer) limit() int64 {
	if w.size == 0 {
		return BlockSize
	}
	return min(BlockSize, w.size-w.temp.size)
}

// makeRoom makes room in the buffer for at least one of the next n bytes.
func (w *Writer) makeRoom(n int64) error {
	if sum := w.written() + n; w.opts.Total > 0 && sum > w.opts.Total {
		return fmt.Errorf("write %s: the stream is longer than the expected %d bytes", w.prefix, w.opts.Total)
	}
	if int64(len(w.buffer)) < w.limit() {
		return nil
	}
	if err := w.flush(); err != nil {
		return err
	}
	if w.size == 0 || w.temp.size < w.size {
		return nil
	}
	return w.nextVolume()
}

// written returns the number of bytes that were written to w.
func (w *Writer) written() int64 { return w.offset + w.temp.size + int64(len(w.buffer)) }

// flush writes the buffer, one block, to temp.
func (w *Writer) flush() error {
	if len(w.buffer) == 0 {
		return nil
	}
	block := w.buffer
	if w.size > 0 {
		w.blocks = binary.BigEndian.AppendUint32(w.blocks, crc32.Checksum(block, castagnoli))
	}
	if w.size > 0 || w.opts.Redundancy > 0 {
		w.hash.Write(block)
	}
	err := w.temp.write(block)
	switch {
	case errors.Is(err, syscall.EFBIG):
		return fmt.Errorf("write %s: the file system does not support files of this size: choose smaller volumes: %w", w.prefix, err)
	case err != nil:
		return fmt.Errorf("write %s: %w", w.prefix, err)
	}
	w.buffer = block[:0]
	return nil
}

// nextVolume publishes a full volume and begins the next one.
func (w *Writer) nextVolume() error {
	if number := len(w.volumes) + 1; number >= maxNumber(w.digits) {
		return fmt.Errorf("write %s: the stream needs more than %d volumes: choose larger volumes", w.prefix, number)
	}
	if err := w.publish(false); err != nil {
		return err
	}
	temp, err := newTempFile(w.prefix)
	if err != nil {
		return fmt.Errorf("write %s: %w", w.prefix, err)
	}
	w.temp = temp
	return nil
}

// Close publishes the last volume. When it returns nil, the whole stream is durable.
func (w *Writer) Close() error {
	if w.temp == nil || w.err != nil {
		return w.err
	}
	if n := w.written(); w.opts.Total > 0 && n != w.opts.Total {
		w.err = fmt.Errorf("write %s: the stream ended after %d of the expected %d bytes", w.prefix, n, w.opts.Total)
		return w.err
	}
	if w.err = w.flush(); w.err != nil {
		return w.err
	}
	if w.err = w.publish(true); w.err != nil {
		return w.err
	}
	if w.opts.Parity > 0 {
		if err := w.writeParity(); err != nil {
			w.err = fmt.Errorf("write the parity of %s: %w", w.prefix, err)
			return w.err
		}
	}
	if w.opts.Redundancy > 0 {
		w.created = append(w.created, parity.Path(w.prefix))
		if w.protected, w.err = parity.Write(w.prefix, [sha256.Size]byte(w.hash.Sum(nil)), w.opts.Redundancy); w.err != nil {
			return w.err
		}
	}
	w.closed = true
	return nil
}

// Abort removes all files that w wrote, including finished volumes. It does not restore overwritten files.
func (w *Writer) Abort() error {
	if w.closed {
		return nil
	}
	w.closed = true
	if w.err == nil {
		w.err = fmt.Errorf("write %s: %w", w.prefix, os.ErrClosed)
	}
	var errs []error
	if w.temp != nil {
		errs = append(errs, w.temp.remove())
		w.temp = nil
	}
	for _, path := range w.created {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("remove the files of %s: %w", w.prefix, err)
	}
	return nil
}

// Volumes returns the descriptions of the finished volumes, without Blocks. There are none for a plain file.
func (w *Writer) Volumes() []Description { return w.volumes }

// Parity returns the descriptions of the parity volumes, without Blocks, after Close.
func (w *Writer) Parity() []Description { return w.parity }

// Protected returns the path and the size of the parity of a plain file, after Close. The size is 0 if there is none.
func (w *Writer) Protected() (path string, size int64) { return parity.Path(w.prefix), w.protected }

// describe returns the description of the volume in temp.
func (w *Writer) describe(last bool) Description {
	number := len(w.volumes) + 1
	of := w.count
	if last {
		of = number
	}
	return Description{
		Version:   FormatVersion,
		File:      filepath.Base(fileName(w.prefix, number, w.digits)),
		Number:    number,
		Count:     of,
		Bundle:    w.opts.Bundle,
		Title:     w.opts.Title,
		Offset:    w.offset,
		Size:      w.temp.size,
		Digest:    digest.NewDigestFromBytes(digest.SHA256, w.hash.Sum(nil)),
		BlockSize: BlockSize,
		Blocks:    w.blocks,
	}
}
