package proxy

import (
	"errors"
	"testing"

	"airmirror/mirror"
)

// endless is a body that never ends.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

// discarding is a [mirror.BlobWriter] that stores nothing.
type discarding struct{ mirror.BlobWriter }

func (discarding) Write(p []byte) (int, error) { return len(p), nil }

func TestBlobOfUnknownSizeIsLimited(t *testing.T) {
	d := newDownload(downloadKey{}, mirror.Repo{})
	d.start(discarding{}, -1)
	err := d.receive(endless{}, func(int64) error { return nil })
	if e := (*mirror.Error)(nil); !errors.As(err, &e) || e.Code != mirror.CodeUnavailable {
		t.Error(err)
	}
	if d.received != maxUnsized {
		t.Errorf("%d bytes were received, want %d", d.received, int64(maxUnsized))
	}
}
