package cache_test

import (
	"errors"
	"testing"

	"airmirror/cache"
	"airmirror/cache/cachetest"
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
		minFree, need int64
		full          bool
	}{
		"no minimum":                 {0, 0, false},
		"the whole disk as minimum":  {total, 0, true},
		"enough space":               {0, free / 4, false},
		"more than the disk":         {0, total + 1, true},
		"less than the minimum left": {free / 2, free, true},
	} {
		err := s.Capacity(func(of int64) int64 {
			if of != total {
				t.Errorf("the disk has %d bytes, want %d", of, total)
			}
			return tt.minFree
		}).Check(tt.need)
		if (mirror.CodeOf(err) == mirror.CodeStorageFull) != tt.full || !tt.full && err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCapacityWithoutADisk(t *testing.T) {
	index := openBolt(t, t.TempDir())
	s := newStore(t, cachetest.IndexedBlobs(index, "objects"), index, cache.Options{})
	defer closeStore(t, s)
	if err := s.Capacity(func(int64) int64 { return 1 << 30 }).Check(1 << 40); err != nil {
		t.Error(err)
	}
}
