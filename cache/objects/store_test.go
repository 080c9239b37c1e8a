package objects

import (
	"context"
	"testing"
	"time"

	"airmirror/cache"
	"airmirror/cache/backend"
	"airmirror/cache/cachetest"
	"airmirror/mirror"
)

func TestStore(t *testing.T) {
	gateway(t)
	cachetest.Store(t, func(t *testing.T) mirror.Store {
		index := openIndex(t)
		s, err := cache.New(openNode(t, store(t), index), index, cache.Options{})
		if err != nil {
			t.Fatal(err)
		}
		return s
	})
}

func TestSharedStore(t *testing.T) {
	gateway(t)
	cachetest.SharedStore(t, func(t *testing.T) (a, b mirror.Store) {
		bucket, index := store(t), openIndex(t)
		stores := make([]mirror.Store, 2)
		for i := range stores {
			var err error
			if stores[i], err = cache.New(openNode(t, bucket, index), sharedIndex{index}, cache.Options{Clock: machineClock{}}); err != nil {
				t.Fatal(err)
			}
		}
		return stores[0], stores[1]
	})
}

// sharedIndex is an index in this process that several stores use. It stays open when one of them is closed.
type sharedIndex struct{ backend.Index }

func (sharedIndex) Close() error                                  { return nil }
func (sharedIndex) ServerTime(context.Context) (time.Time, error) { return time.Now(), nil }

// machineClock implements [backend.Clock] with the clock of the machine.
type machineClock struct{}

func (machineClock) Now() time.Time                  { return time.Now() }
func (machineClock) Uptime() (string, time.Duration) { return backend.BootID(), backend.Uptime() }
