package volume

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"unicode/utf8"

	"github.com/opencontainers/go-digest"
)

// Options is what [Create] is told about a stream; the zero value works.
type Options struct {
	// Total is how many bytes the stream will have, if that is known. Descriptions then say how many volumes there are,
	// and a stream of another size is an error. 0 is unknown.
	Total int64
	// Bundle and Title go into the descriptions: see [Description].
	Bundle, Title string
	// Overwrite replaces what is there: a file, or all volumes of a set. They go when the first new one takes their place.
	Overwrite bool
}

// Writer writes a stream into volumes. It is not for concurrent use.
type Writer struct {
	prefix   string // the path that was given
	size     int64  // of a volume at most; 0 for one plain file
	opts     Options
	digits   int      // of a number
	count    int      // how many volumes there will be; 0 if that is unknown
	replaced []string // files to be overwritten

	temp   *tempFile // what is being written; nil after the end
	hasher *hasher   // nil after the end
	buffer []byte    // what is not in part yet
	blocks []byte    // checksums of those of part

	offset  int64 // of part in the stream
	volumes []Description
	created []string // files with a final name
	err     error    // of every call from now on
}

// Create begins to write a stream into volumes of at most size bytes that are named after path, or, if size is 0, into
// one plain file with that name and no description. A folder, device or pipe in its place is an error, and so is a file
// that is there already (fs.ErrExist), unless info says otherwise.
//
// The caller must call Close, and Abort after any error; Abort after a Close that returned nil does nothing.
func Create(path string, size int64, info Options) (*Writer, error) {
	w := &Writer{prefix: path, size: size, opts: info, digits: minDigits}
	if err := w.begin(); err != nil {
		return nil, fmt.Errorf("create %s: %w", path, err)
	}
	return w, nil
}

func (w *Writer) begin() error {
	if err := w.check(); err != nil {
		return err
	}
	if w.size > 0 && w.opts.Total > 0 {
		volumes := (w.opts.Total-1)/w.size + 1
		if volumes > int64(maxNumber(maxDigits)) {
			return fmt.Errorf("%d bytes make %d volumes, more than %d: choose larger ones", w.opts.Total, volumes, maxNumber(maxDigits))
		}
		w.count = int(volumes)
		w.digits = max(minDigits, len(fmt.Sprint(volumes)))
	}
	part, err := newTempFile(w.prefix)
	if err != nil {
		return err
	}
	if w.replaced, err = existingFiles(w.prefix, w.size > 0); err == nil && len(w.replaced) > 0 && !w.opts.Overwrite {
		err = fmt.Errorf("%s: %w: move it away, choose another name or overwrite it", w.replaced[0], os.ErrExist)
	}
	if err != nil {
		return errors.Join(err, part.remove())
	}
	w.temp, w.hasher = part, newHasher()
	w.buffer = w.hasher.space()[:0]
	return nil
}

func (w *Writer) check() error {
	_, _, isVolume := Parse(w.prefix)
	base := filepath.Base(w.prefix)
	switch {
	case base == "." || base == ".." || !strings.HasSuffix(w.prefix, base):
		return errors.New("it is not the name of a file")
	case w.size < 0 || w.size > MaxSize:
		return fmt.Errorf("a volume of %d bytes: it may have up to %d", w.size, int64(MaxSize))
	case w.opts.Total < 0:
		return fmt.Errorf("a stream of %d bytes", w.opts.Total)
	case w.size == 0 && isVolume:
		return errors.New("it has the name of a volume, and would be read as one: choose another name")
	case w.size > 0 && !utf8.ValidString(base):
		return errors.New("its name is not UTF-8, and no description could say it: choose another name")
	}
	return errors.Join(checkText("bundle", w.opts.Bundle), checkText("title", w.opts.Title))
}

// Write implements [io.Writer]. A volume gets its final name when the first byte after it comes, or at Close.
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

// limit is how large the buffer may become: a block, or the rest of the volume.
func (w *Writer) limit() int64 {
	if w.size == 0 {
		return BlockSize
	}
	return min(BlockSize, w.size-w.temp.size)
}

// makeRoom makes room in the buffer for some of n bytes that are to come.
func (w *Writer) makeRoom(n int64) error {
	if sum := w.written() + n; w.opts.Total > 0 && sum > w.opts.Total {
		return fmt.Errorf("write %s: the stream is longer than the %d bytes that were announced", w.prefix, w.opts.Total)
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

// written is how many bytes of the stream were taken.
func (w *Writer) written() int64 { return w.offset + w.temp.size + int64(len(w.buffer)) }

// flush writes the buffer, which is a block.
func (w *Writer) flush() error {
	if len(w.buffer) == 0 {
		return nil
	}
	block := w.buffer
	if w.size > 0 {
		w.blocks = binary.BigEndian.AppendUint32(w.blocks, crc32.Checksum(block, castagnoli))
		w.hasher.add(block)
	}
	err := w.temp.write(block)
	switch {
	case errors.Is(err, syscall.EFBIG):
		return fmt.Errorf("write %s: this file system has no files so large: write smaller volumes: %w", w.prefix, err)
	case err != nil:
		return fmt.Errorf("write %s: %w", w.prefix, err)
	}
	if w.size > 0 {
		block = w.hasher.space()
	}
	w.buffer = block[:0]
	return nil
}

// nextVolume finishes a volume that is full and begins the next one.
func (w *Writer) nextVolume() error {
	if number := len(w.volumes) + 1; number >= maxNumber(w.digits) {
		return fmt.Errorf("write %s: the stream needs more than %d volumes: choose larger ones", w.prefix, number)
	}
	if err := w.publish(false); err != nil {
		return err
	}
	part, err := newTempFile(w.prefix)
	if err != nil {
		return fmt.Errorf("write %s: %w", w.prefix, err)
	}
	w.temp = part
	return nil
}

// Close finishes the last volume. Without an error all of the stream is durable when it returns.
func (w *Writer) Close() error {
	if w.temp == nil || w.err != nil {
		return w.err
	}
	if n := w.written(); w.opts.Total > 0 && n != w.opts.Total {
		w.err = fmt.Errorf("write %s: the stream ended after %d of the %d bytes that were announced", w.prefix, n, w.opts.Total)
		return w.err
	}
	if w.err = w.flush(); w.err != nil {
		return w.err
	}
	if w.err = w.publish(true); w.err != nil {
		return w.err
	}
	w.hasher.stop()
	w.hasher = nil
	return nil
}

// Abort ends writing and removes what was written, finished volumes too. What they replaced is not brought back.
func (w *Writer) Abort() error {
	if w.hasher == nil {
		return nil // it was closed, or aborted
	}
	w.hasher.stop()
	w.hasher = nil
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
		return fmt.Errorf("remove what was written of %s: %w", w.prefix, err)
	}
	return nil
}

// Volumes returns the volumes that are finished, without their Blocks. A plain file is none.
func (w *Writer) Volumes() []Description { return w.volumes }

// describe makes the description of the volume that is in part, all of it.
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
		Digest:    digest.NewDigestFromBytes(digest.SHA256, w.hasher.sum()),
		BlockSize: BlockSize,
		Blocks:    w.blocks,
	}
}
