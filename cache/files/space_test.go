package files

import (
	"errors"
	"path/filepath"
	"testing"
)

func TestSpace(t *testing.T) {
	f, err := Open(filepath.Join(t.TempDir(), "data"))
	if err != nil {
		t.Fatal(err)
	}
	total, free, err := f.Space()
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	}
	if err != nil || free < 0 || total < 1<<20 || free > total {
		t.Errorf("%d bytes, %d of them free, %v", total, free, err)
	}
}
