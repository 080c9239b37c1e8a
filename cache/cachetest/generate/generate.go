// Package generate makes data folders with many small images, for benchmarks and for tests of large stores. It stores
// the images with the methods that pushes and pulls use, so the index has the records and the order of writes of a real
// one. The files of blobs are written without fsync. The product does not import this package.
//
// The command genstore makes a folder from a shell:
//
//	go run ./cache/cachetest/generate/genstore -images 200000 /dev/shm/store
package generate

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"airmirror/cache"
	"airmirror/cache/backend"
	"airmirror/cache/bolt"
	"airmirror/cache/cachetest"
	"airmirror/cache/files"
	"airmirror/mirror"
)

// workers is the number of concurrent clients. Their updates of the index are committed together, as those of the
// clients of a busy server.
const workers = 64

// Options describe the images. The zero value of a field selects its default. The content depends only on the options.
type Options struct {
	// Images is the number of images. Each has a manifest, a config and a tag. The layer of the repository is part of all
	// its images; every second image has one more.
	Images int
	// Repos is the number of repositories. The default is one for 50 images. The images of a repository are far apart in
	// time, as releases are.
	Repos int
	// LayerBytes is the size of a layer. The default is 100.
	LayerBytes int
	// Age is the time between the first image and the last. The default is 20 days: the clock of a store accepts a
	// downtime of up to 30 days.
	Age time.Duration
	// Progress is called from time to time with the number of images that are stored. It may be nil.
	Progress func(images int)
}

func (o Options) withDefaults() Options {
	if o.Repos == 0 {
		o.Repos = max(1, o.Images/50)
	}
	if o.LayerBytes == 0 {
		o.LayerBytes = 100
	}
	if o.Age == 0 {
		o.Age = 20 * 24 * time.Hour
	}
	return o
}

// Store makes a data folder, which must not exist or be empty. Even repositories are below docker.io and were filled by
// pulls through the mirror: each image was also read by the client, so it has times of last use. Odd repositories are
// below registry.example and were filled by pushes.
func Store(ctx context.Context, folder string, o Options) (err error) {
	o = o.withDefaults()
	if _, err := cache.HasIndex(folder); err != nil {
		return err
	}
	stored, err := files.Open(folder)
	if err != nil {
		return err
	}
	index, err := bolt.Open(filepath.Join(folder, cache.IndexName))
	if err != nil {
		return err
	}
	// For the next process, the store was last used before this machine booted, because it has another clock here.
	booted := time.Now().UTC().Round(0).Add(-backend.Uptime() - time.Hour)
	machine := cachetest.NewMachine(booted.Add(-o.Age))
	s, err := cache.New(&unsynced{Blobs: stored, root: folder}, index, cache.Options{Clock: machine})
	if err != nil {
		return errors.Join(err, index.Close())
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	return o.fill(ctx, s, machine)
}

// fill stores the images in rounds, so that the clock advances between them.
func (o Options) fill(ctx context.Context, s *cache.Store, machine *cachetest.Machine) error {
	rounds := max(1, min(o.Images/workers, 1000))
	for round := range rounds {
		group, ctx := errgroup.WithContext(ctx)
		group.SetLimit(workers)
		for i := o.Images * round / rounds; i < o.Images*(round+1)/rounds; i++ {
			group.Go(func() error {
				if err := o.storeImage(ctx, s, i); err != nil {
					return fmt.Errorf("store image %d: %w", i, err)
				}
				return nil
			})
		}
		if err := group.Wait(); err != nil {
			return err
		}
		if o.Progress != nil {
			o.Progress(o.Images * (round + 1) / rounds)
		}
		machine.Pass(o.Age / time.Duration(rounds))
	}
	return nil
}

func (o Options) storeImage(ctx context.Context, s *cache.Store, i int) error {
	image := o.Image(i)
	if image.Origin == mirror.Mirrored {
		return pull(ctx, s, image)
	}
	return push(ctx, s, image)
}
