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

// maxCompression is the maximum number of nested compressions. Two are common: an archive that was compressed when it
// was made, and again for a download.
const maxCompression = 2

// Format is a file format, recognized by its first bytes.
type Format struct {
	Name    string // for people; empty if unknown
	Archive bool   // files of this format can contain images
	Read    bool   // this package reads it
}

// FormatSize is the number of bytes that [FormatOf] needs.
const FormatSize = block

// formats are the known formats with their first bytes.
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

// FormatOf returns the format of a file from its first [FormatSize] bytes, or all bytes if it is shorter.
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

// isTar reports whether a block has the magic of a tar header. The first entry may continue in the next block.
func isTar(start []byte) bool { return string(start[257:262]) == "ustar" }

// unpack returns s, or a stream that decompresses s.
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
			return nil, invalid("it is %s, which is not supported: unpack it and import the tar in it", format.Name)
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

// peek returns up to n bytes and leaves them unread.
func (s *stream) peek(n int) ([]byte, error) {
	start := make([]byte, n)
	got, err := io.ReadFull(s, start)
	if err != nil && err != io.EOF && !errors.Is(err, io.ErrUnexpectedEOF) || s.cause() != nil {
		return nil, s.explain(err)
	}
	s.unread(start[:got])
	return start[:got], nil
}

// decompressors return readers of compressed data, which may have several concatenated streams. They use at most window
// bytes of memory.
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

// explainedReader reads from a decompressor and explains its errors.
type explainedReader struct {
	r      io.Reader
	window int64
}

func (d explainedReader) Read(p []byte) (int, error) {
	n, err := d.r.Read(p)
	return n, explainDecompression(err, d.window)
}

// explainDecompression translates the errors of decompressors. For truncated input it returns io.ErrUnexpectedEOF.
func explainDecompression(err error, window int64) error {
	switch {
	case errors.Is(err, zstd.ErrWindowSizeExceeded), errors.Is(err, zstd.ErrDecoderSizeExceeded), errors.Is(err, xz.ErrMemlimit):
		return invalid("decompression needs more than the allowed %d MiB of memory: decompress it first: %w", window>>20, err)
	case errors.Is(err, xz.ErrBuf):
		return io.ErrUnexpectedEOF
	}
	return err
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// eofTracker notices that a decompressor reads beyond the end: package bzip2 reports truncated input as corrupt.
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

// compression returns the compression of a layer from its first bytes: gzip, zstd or an empty string.
func compression(start []byte) string {
	if name := FormatOf(start).Name; name == "gzip" || name == "zstd" {
		return name
	}
	return ""
}
