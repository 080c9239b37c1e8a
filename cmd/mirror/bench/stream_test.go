//go:build bench

package bench_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"math/rand/v2"
)

const (
	mib = 1 << 20
	gib = 1 << 30
)

// block is the unit of a stream: a header that differs from block to block, and bytes that do not compress.
const (
	blockSize  = 64 << 10
	headerSize = 16
)

var filler = func() []byte {
	data := make([]byte, blockSize)
	_, _ = rand.NewChaCha8([32]byte{}).Read(data)
	return data
}()

// stream is size bytes that no other seed yields. They cost next to nothing to make, and to check a comparison of
// memory, which is less than a hash, so that every byte of every answer can be checked while it is measured.
type stream struct {
	Seed uint64
	Size int64
}

func (s stream) header(block int64) (h [headerSize]byte) {
	binary.BigEndian.PutUint64(h[:], s.Seed)
	binary.BigEndian.PutUint64(h[8:], uint64(block))
	return h
}

// newBuffer returns room for n bytes, whole blocks, that next fills.
func newBuffer(n int) []byte { return bytes.Repeat(filler, n/blockSize) }

// next fills buf, from newBuffer, with the bytes at off, a multiple of blockSize, and returns those that there are.
func (s stream) next(buf []byte, off int64) []byte {
	for at := 0; at < len(buf); at += blockSize {
		h := s.header((off + int64(at)) / blockSize)
		copy(buf[at:], h[:])
	}
	return buf[:min(int64(len(buf)), s.Size-off)]
}

// same reports whether p is what the stream has at off.
func (s stream) same(p []byte, off int64) bool {
	for len(p) > 0 {
		in := off % blockSize
		if in < headerSize {
			h := s.header(off / blockSize)
			n := min(len(p), int(headerSize-in))
			if !bytes.Equal(p[:n], h[in:int(in)+n]) {
				return false
			}
			p, off = p[n:], off+int64(n)
			continue
		}
		n := min(len(p), int(blockSize-in))
		if !bytes.Equal(p[:n], filler[in:int(in)+n]) {
			return false
		}
		p, off = p[n:], off+int64(n)
	}
	return true
}

// compare reads the whole stream from r into buf, piece by piece, and checks every byte.
func (s stream) compare(r io.Reader, buf []byte) error {
	for off := int64(0); off < s.Size; {
		n, err := r.Read(buf[:min(int64(len(buf)), s.Size-off)])
		if !s.same(buf[:n], off) {
			return fmt.Errorf("wrong bytes after %d", off)
		}
		if off += int64(n); err != nil && off < s.Size {
			return fmt.Errorf("after %d bytes: %w", off, err)
		}
	}
	return nil
}

// each calls f with the whole stream, piece by piece.
func (s stream) each(f func(piece []byte) error) error {
	buf := newBuffer(4 * blockSize)
	for off := int64(0); off < s.Size; off += int64(len(buf)) {
		if err := f(s.next(buf, off)); err != nil {
			return err
		}
	}
	return nil
}

func (s stream) digest() string {
	h := sha256.New()
	_ = s.each(func(piece []byte) error { h.Write(piece); return nil })
	return digestOf(h)
}

func digestOf(h hash.Hash) string { return "sha256:" + hex.EncodeToString(h.Sum(nil)) }

func digestOfBytes(data []byte) string {
	sum := sha256.Sum256(data)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// image is an image whose one layer is a stream.
type image struct {
	Layer  stream
	Digest string // of the layer
}

func newImage(seed uint64, size int64) image {
	layer := stream{seed, size}
	return image{layer, layer.digest()}
}

const (
	manifestType = "application/vnd.oci.image.manifest.v1+json"
	configType   = "application/vnd.oci.image.config.v1+json"
	layerType    = "application/vnd.oci.image.layer.v1.tar+gzip"
	imageRepo    = "library/image"
)

func (i image) config() []byte {
	return fmt.Appendf(nil, `{"architecture":"amd64","os":"linux","seed":%d}`, i.Layer.Seed)
}

func (i image) tag() string { return fmt.Sprintf("v%d", i.Layer.Seed) }

func (i image) manifest() []byte {
	config := i.config()
	return manifestOf(digestOfBytes(config), len(config), descriptor(layerType, i.Digest, int(i.Layer.Size)))
}

// manifestOf is written by hand: a JSON encoder would be a large part of a client that pushes small images.
func manifestOf(config string, size int, layers ...string) []byte {
	m := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"config":%s,"layers":[`, manifestType, descriptor(configType, config, size))
	for i, layer := range layers {
		if i > 0 {
			m = append(m, ',')
		}
		m = append(m, layer...)
	}
	return append(m, "]}"...)
}

func descriptor(mediaType, digest string, size int) string {
	return fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d}`, mediaType, digest, size)
}

func (i image) manifestPath() string { return "/v2/" + imageRepo + "/manifests/" + i.tag() }
func (i image) layerPath() string    { return "/v2/" + imageRepo + "/blobs/" + i.Digest }
