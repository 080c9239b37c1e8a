package proxy

import (
	"errors"
	"testing"

	"airmirror/mirror"
)

// endless is a body that never ends.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

// bottomless is an [mirror.BlobWriter] that keeps nothing.
type bottomless struct{ mirror.BlobWriter }

func (bottomless) Write(p []byte) (int, error) { return len(p), nil }

func TestABlobOfUnknownSizeHasToEnd(t *testing.T) {
	f := &flight{changed: make(chan struct{})}
	f.depart(bottomless{}, -1)
	err := f.carry(endless{}, func(int64) error { return nil })
	if e := (*mirror.Error)(nil); !errors.As(err, &e) || e.Code != mirror.CodeUnavailable {
		t.Error(err)
	}
	if f.arrived != maxUnsized {
		t.Errorf("%d bytes were taken in, want %d", f.arrived, int64(maxUnsized))
	}
}
