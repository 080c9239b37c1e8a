package bundle

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/bzip2"
	"errors"
	"io"
	"math"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/mikelolasagasti/xz"
)

// maxCompression is how many times a file may be compressed, one inside the other: a download that was compressed for the
// transfer, of an archive that was compressed when it was made.
const maxCompression = 2

// Format is what a file is, by how it begins.
type Format struct {
	Name    string // for people; "" if it is not known
	Archive bool   // it can have images in it
	Read    bool   // this package reads it
}

// FormatSize is how much of a file is needed to tell its format, in bytes.
const FormatSize = block

// formats are how files begin, and what they are.
var formats = []struct {
	magic string
	Format
}{
	{"\x1f\x8b", Format{"gzip", true, true}},
	{"\x28\xb5\x2f\xfd", Format{"zstd", true, true}},
	{"\xfd7zXZ\x00", Format{"xz", true, true}},
	{"BZh", Format{"bzip2", true, true}},
	{"PK\x03\x04", Format{"a zip archive", true, false}},
	{"7z\xbc\xaf\x27\x1c", Format{"a 7-Zip archive", true, false}},
	{"Rar!\x1a\x07", Format{"a RAR archive", true, false}},
	{"\x04\x22\x4d\x18", Format{"an archive compressed by lz4", true, false}},
	{"LZIP", Format{"an archive compressed by lzip", true, false}},
	{"\x5d\x00\x00", Format{"an archive compressed by lzma", true, false}},
	{"\x1f\x9d", Format{"an archive compressed by compress", true, false}},
	{"\x89LZO", Format{"an archive compressed by lzop", true, false}},
	{"<!DOCTYPE", Format{"a web page", false, false}},
	{"<!doctype", Format{"a web page", false, false}},
	{"<html", Format{"a web page", false, false}},
	{"version https://git-lfs", Format{"a pointer of Git LFS, whose file was not fetched", false, false}},
}

// FormatOf says what a file is that begins so: with its first [FormatSize] bytes, or all that it has.
func FormatOf(start []byte) Format {
	for _, f := range formats {
		if bytes.HasPrefix(start, []byte(f.magic)) {
			return f.Format
		}
	}
	if len(start) >= block {
		if _, err := tar.NewReader(bytes.NewReader(start[:block])).Next(); err == nil || isTar(start) {
			return Format{"tar", true, true}
		}
	}
	return Format{}
}

// isTar reports whether a block has what headers of tar have: the first entry may be one that goes on in the next block.
func isTar(start []byte) bool { return string(start[257:262]) == "ustar" }

// unpack returns s or, if that is compressed, what it decompresses to.
func unpack(s *stream, limits Limits) (*stream, error) {
	for packed := 0; ; packed++ {
		start, err := s.peek(FormatSize)
		if err != nil {
			return nil, err
		}
		format := FormatOf(start)
		open := decompressors[format.Name]
		switch {
		case format.Name != "" && !format.Read:
			return nil, invalid("it is %s: unpack it, and have the tar in it read", format.Name)
		case open == nil:
			return s, nil
		case packed == maxCompression:
			return nil, invalid("it is compressed more than %d times: decompress it first", maxCompression)
		}
		outer := &stream{compressed: s}
		d, err := open(s, limits.Window)
		outer.r = explainedReader{d, limits.Window}
		if err != nil {
			return nil, outer.explain(explainDecompression(err, limits.Window))
		}
		s = outer
	}
}

// peek returns up to n bytes that come next, and are still to be read.
func (s *stream) peek(n int) ([]byte, error) {
	start := make([]byte, n)
	got, err := io.ReadFull(s, start)
	if err != nil && err != io.EOF && !errors.Is(err, io.ErrUnexpectedEOF) || s.cause() != nil {
		return nil, s.explain(err)
	}
	s.unread(start[:got])
	return start[:got], nil
}

// decompressors read what is compressed, in one or several streams one after the other, with no more than window bytes
// of it in memory.
var decompressors = map[string]func(r io.Reader, window int64) (io.Reader, error){
	"gzip": func(r io.Reader, _ int64) (io.Reader, error) {
		return gzip.NewReader(bufio.NewReaderSize(r, bufferSize))
	},
	"zstd": func(r io.Reader, window int64) (io.Reader, error) {
		return zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(uint64(window)), zstd.WithDecoderMaxMemory(uint64(window)))
	},
	"xz": func(r io.Reader, window int64) (io.Reader, error) {
		return xz.NewReader(r, uint32(min(window, math.MaxUint32)))
	},
	"bzip2": func(r io.Reader, _ int64) (io.Reader, error) {
		in := &eofTracker{Reader: bufio.NewReaderSize(r, bufferSize)}
		in.out = bzip2.NewReader(in)
		return readerFunc(in.decompress), nil
	},
}

// decompressor reads with a decompressor, whose errors it explains.
type explainedReader struct {
	r      io.Reader
	window int64
}

func (d explainedReader) Read(p []byte) (int, error) {
	n, err := d.r.Read(p)
	return n, explainDecompression(err, d.window)
}

// explainDecompression returns what the error of a decompressor means: where it wants more than there is, io.ErrUnexpectedEOF.
func explainDecompression(err error, window int64) error {
	switch {
	case errors.Is(err, zstd.ErrWindowSizeExceeded), errors.Is(err, zstd.ErrDecoderSizeExceeded), errors.Is(err, xz.ErrMemlimit):
		return invalid("decompressing it takes more than %d MiB of memory, which is all that it is given: decompress it first: %w", window>>20, err)
	case errors.Is(err, xz.ErrBuf):
		return io.ErrUnexpectedEOF
	}
	return err
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// ending notices that more was wanted than there is: bzip2 takes the end of a file for wrong data.
type eofTracker struct {
	*bufio.Reader
	out    io.Reader
	hitEOF bool
}

func (e *eofTracker) ReadByte() (byte, error) {
	c, err := e.Reader.ReadByte()
	e.hitEOF = e.hitEOF || err == io.EOF
	return c, err
}

func (e *eofTracker) decompress(p []byte) (int, error) {
	n, err := e.out.Read(p)
	if err != nil && err != io.EOF && e.hitEOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// compression says how what begins so is compressed, as layers are: gzip, zstd or "".
func compression(start []byte) string {
	if name := FormatOf(start).Name; name == "gzip" || name == "zstd" {
		return name
	}
	return ""
}
