package mirror

import (
	"errors"
	"testing"
)

// endless is a body that never ends.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

// bottomless is an [BlobWriter] that keeps nothing.
type bottomless struct{ BlobWriter }

func (bottomless) Write(p []byte) (int, error) { return len(p), nil }

func TestABlobOfUnknownSizeHasToEnd(t *testing.T) {
	f := &flight{changed: make(chan struct{})}
	f.depart(bottomless{}, -1)
	err := f.carry(endless{}, func(int64) error { return nil })
	if e := (*Error)(nil); !errors.As(err, &e) || e.Code != CodeUnavailable {
		t.Error(err)
	}
	if f.arrived != maxUnsized {
		t.Errorf("%d bytes were taken in, want %d", f.arrived, int64(maxUnsized))
	}
}
