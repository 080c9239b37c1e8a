//go:build bench

package bench_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// BenchmarkBlob gets a stored blob, which is in the page cache.
func BenchmarkBlob(b *testing.B) {
	b.Run("64MiB", func(b *testing.B) { benchmarkBlob(b, "blob of 64 MiB, 4 clients", 64*mib, 4, 8, 11) })
	b.Run("1GiB", func(b *testing.B) { notQuick(b); benchmarkBlob(b, "blob of 1 GiB", gib, 1, 2, 7) })
}

func benchmarkBlob(b *testing.B, name string, size int64, clients, times, count int) {
	measure(b, func() {
		mirror := startMirror(b, "--offline")
		layer := stream{uint64(size), size}
		digest := layer.digest()
		c, err := dial(mirror.addr)
		check(b, err)
		defer c.Close()
		check(b, pushLarge(c, layer, digest))

		path := "/v2/library/large/blobs/" + digest
		header := answerHeader(b, "http://"+mirror.addr+path)
		header.Del("Content-Length") // for ServeContent to set
		hex := strings.TrimPrefix(digest, "sha256:")
		held := filepath.Join(mirror.data, "blobs", "sha256", hex[:2], hex)
		_, err = os.Stat(held)
		check(b, err)
		bare := startHelper(b, "file", fileSpec{Header: header, Path: held})

		get := func(s *server) func(int) float64 {
			return func(int) float64 {
				took := together(b, clients, s.addr, func(_ int, c *conn) error {
					buf := make([]byte, 256<<10)
					for range times {
						if _, err := c.fetch(path, layer, buf); err != nil {
							return err
						}
					}
					return nil
				})
				return float64(size) * float64(clients*times) / 1e6 / took.Seconds()
			}
		}
		r := alternate(count, get(mirror), get(bare)).row(name, "MB/s", "ServeContent", atLeast(1))
		r.memory = mirror.memory()
		r.add(b)
	})
}

// chunk is the size of the chunks that Docker pushes a layer in.
const chunk = 32 << 10

// pushLarge pushes a blob as Docker does: POST, one PATCH of unknown length, PUT.
func pushLarge(c *conn, s stream, digest string) error {
	post, _, err := c.do(http.StatusAccepted, http.MethodPost, "/v2/library/large/blobs/uploads/", "", nil, nil)
	if err != nil {
		return err
	}
	if err := c.send(http.MethodPatch, post.location, "Transfer-Encoding: chunked\r\n", nil); err != nil {
		return err
	}
	err = s.each(func(piece []byte) error {
		for len(piece) > 0 {
			n := min(len(piece), chunk)
			if err := c.writeChunk(piece[:n]); err != nil {
				return err
			}
			piece = piece[n:]
		}
		return nil
	})
	if err == nil {
		err = c.writeChunk(nil)
	}
	if err != nil {
		return err
	}
	patch, err := c.receive(false)
	if err != nil {
		return err
	}
	if patch.status != http.StatusAccepted || patch.length != 0 {
		return fmt.Errorf("PATCH %s: status %d", post.location, patch.status)
	}
	_, _, err = c.do(http.StatusCreated, http.MethodPut, withDigest(patch.location, digest), "", nil, nil)
	return err
}
