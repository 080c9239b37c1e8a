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

// encoded reports whether an answer is compressed by whoever sends it, though nobody asked for that.
func isCompressed(resp *http.Response) bool {
	encoding := strings.ToLower(strings.TrimSpace(resp.Header.Get("Content-Encoding")))
	return encoding == "gzip" || encoding == "x-gzip"
}

// decoded is the body of a manifest, without the compression of its answer if there is one. A digest that the bytes have
// as they are says that they are meant that way.
func (a *response) decompress(body []byte, limit int, digests ...digest.Digest) []byte {
	if !isCompressed(a.Response) {
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

// decoder reads a blob whose answer is compressed. Layers are compressed themselves, and storage services say of such
// a one that it is encoded: what decodes to the beginning of a tar archive is the blob as it is.
type decompressor struct {
	io.Closer
	raw   *bufio.Reader
	plain io.Reader // nil until the first Read
}

const (
	tarHeader = 512
	tarMagic  = 257 // where it stands in a header
)

func newDecompressor(body io.ReadCloser) *decompressor {
	return &decompressor{Closer: body, raw: bufio.NewReaderSize(body, 64<<10)}
}

// Read reads the blob.
func (d *decompressor) Read(p []byte) (int, error) {
	if d.plain == nil {
		if err := d.begin(); err != nil {
			return 0, err
		}
	}
	return d.plain.Read(p)
}

// begin looks at the first bytes.
func (d *decompressor) begin() error {
	d.plain = d.raw
	head, err := d.raw.Peek(d.raw.Size())
	if err != nil && err != io.EOF {
		return err
	}
	unzip, err := gzip.NewReader(bytes.NewReader(head))
	if err != nil {
		return nil // it is not compressed
	}
	first := make([]byte, tarHeader)
	n, _ := io.ReadFull(unzip, first)
	if n == tarHeader && string(first[tarMagic:tarMagic+5]) == "ustar" {
		return nil
	}
	d.plain, err = gzip.NewReader(d.raw)
	return err
}
