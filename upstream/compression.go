package upstream

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"strings"

	"github.com/opencontainers/go-digest"
)

// isCompressed reports whether a response has a content encoding, though the request asked for none.
func isCompressed(resp *http.Response) bool {
	encoding := strings.ToLower(strings.TrimSpace(resp.Header.Get("Content-Encoding")))
	return encoding == "gzip" || encoding == "x-gzip"
}

// decompress returns the body of a manifest without the content encoding of its response. If the body has one of the
// digests, it is returned as it is: the header is wrong.
func (r *response) decompress(body []byte, limit int, digests ...digest.Digest) []byte {
	if !isCompressed(r.Response) {
		return body
	}
	for _, d := range digests {
		if d != "" && d.Algorithm().FromBytes(body) == d {
			return body
		}
	}
	unzip, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		return body
	}
	plain, err := io.ReadAll(io.LimitReader(unzip, int64(limit)+1))
	if err != nil {
		return body
	}
	return plain
}

// decompressor reads a blob from a response with a content encoding. Layers are compressed themselves, and storage services
// report that as an encoding: if the decompressed bytes begin with a tar header, the blob is returned as it is.
type decompressor struct {
	io.Closer
	raw   *bufio.Reader
	plain io.Reader // nil until the first Read
}

const (
	tarHeader = 512
	tarMagic  = 257 // its offset in a header
)

func newDecompressor(body io.ReadCloser) *decompressor {
	return &decompressor{Closer: body, raw: bufio.NewReaderSize(body, 64<<10)}
}

// Read implements [io.Reader].
func (d *decompressor) Read(p []byte) (int, error) {
	if d.plain == nil {
		if err := d.begin(); err != nil {
			return 0, err
		}
	}
	return d.plain.Read(p)
}

// begin decides by the first bytes whether to decompress.
func (d *decompressor) begin() error {
	d.plain = d.raw
	head, err := d.raw.Peek(d.raw.Size())
	if err != nil && err != io.EOF {
		return err
	}
	unzip, err := gzip.NewReader(bytes.NewReader(head))
	if err != nil {
		return nil // not compressed
	}
	first := make([]byte, tarHeader)
	n, _ := io.ReadFull(unzip, first)
	if n == tarHeader && string(first[tarMagic:tarMagic+5]) == "ustar" {
		return nil
	}
	d.plain, err = gzip.NewReader(d.raw)
	return err
}
