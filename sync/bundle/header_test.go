package bundle

import (
	"archive/tar"
	"bytes"
	"fmt"
	"testing"

	"github.com/opencontainers/go-digest"
)

// TestHeaderSize checks the assumption of Size and Continue about headers, and that package tar reads them.
func TestHeaderSize(t *testing.T) {
	for _, algorithm := range []digest.Algorithm{digest.SHA256, digest.SHA512} {
		for _, size := range []int64{0, 1, 511, 512, maxUSTAR, maxUSTAR + 1, 1 << 40, 1 << 60} {
			t.Run(fmt.Sprint(algorithm, size), func(t *testing.T) {
				name := blobName(algorithm.FromString("x"))
				head := header(name, size)
				if int64(len(head)) != headerSize(name) {
					t.Errorf("the header has %d bytes, want %d", len(head), headerSize(name))
				}
				h, err := tar.NewReader(bytes.NewReader(head)).Next()
				if err != nil || h.Name != name || h.Size != size || h.Typeflag != tar.TypeReg {
					t.Errorf("package tar reads %+v: %v", h, err)
				}
			})
		}
	}
}
