package objects

import (
	"testing"

	"airmirror/cache/backend"
	"airmirror/cache/cachetest"
)

// clusters are the indexes and buckets of the folders in which a suite opens blobs.
type clusters map[string]*cluster

type cluster struct {
	index backend.Index
	store *testStore
}

func (c clusters) in(t *testing.T, dir string) *cluster {
	t.Helper()
	if c[dir] == nil {
		c[dir] = &cluster{index: openIndex(t), store: store(t)}
	}
	return c[dir]
}

// TestBlobs opens another node each time, with an empty folder.
func TestBlobs(t *testing.T) {
	gateway(t)
	all := clusters{}
	cachetest.Blobs(t, func(t *testing.T, dir string) backend.Blobs {
		c := all.in(t, dir)
		return openNode(t, c.store, c.index)
	})
}
