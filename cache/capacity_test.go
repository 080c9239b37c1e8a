package cache_test

import (
	"errors"
	"testing"

	"airmirror/cache"
	"airmirror/mirror"
)

func TestCapacity(t *testing.T) {
	folder := t.TempDir()
	s := newStore(t, openFiles(t, folder), openBolt(t, folder), cache.Options{})
	total, free, err := s.Space()
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		floor, need int64
		full        bool
	}{
		"nothing is to stay free":   {0, 0, false},
		"all is to stay free":       {total, 0, true},
		"there is room for it":      {0, free / 4, false},
		"more comes than there is":  {0, total + 1, true},
		"it would go below a floor": {free / 2, free, true},
	} {
		err := s.Capacity(func(of int64) int64 {
			if of != total {
				t.Errorf("the disk has %d bytes, want %d", of, total)
			}
			return tt.floor
		}).Check(tt.need)
		if (mirror.CodeOf(err) == mirror.CodeStorageFull) != tt.full || !tt.full && err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
