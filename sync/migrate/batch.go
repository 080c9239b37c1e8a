package migrate

import (
	"context"
	"slices"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"airmirror/mirror"
)

// A batch is written when it has this much: many manifests cost one transaction.
const (
	maxManifests = 256
	maxTags      = 4096
	maxBlobs     = 16 << 10 // of all its manifests
	maxBytes     = 8 << 20  // of manifests in memory
)

// batch is what one worker has found and not written yet: manifests, children first, and then tags. It is for one
// goroutine.
type batch struct {
	*run
	items []*item
	blobs int
	bytes int
	tags  []tag
	done  []*repository // that there is nothing more to find in
}

// item is a manifest on its way in.
type item struct {
	repository     *repository
	content        blob
	mediaType      string
	blobs          []blob
	owned          []owned
	ownedBlobs     []digest.Digest // those of owned that the place has
	children       []digest.Digest
	maybeManifests []digest.Digest // those of owned that are manifests if the place has no blobs of their digests
}

// owned is what a manifest names and does not need, to be had as a blob unless it is a manifest.
type owned struct {
	blob // the size is -1 if it is not known
	role mirror.Role
}

func (i *item) String() string { return i.repository.name + "@" + i.content.digest.String() }

// tag is a tag on its way in.
type tag struct {
	repository *repository
	name       string
	digest     digest.Digest
}

func (t tag) String() string { return t.repository.name + ":" + t.name }

func (b *batch) add(i *item) {
	b.items = append(b.items, i)
	b.blobs += len(i.blobs) + len(i.owned)
	b.bytes += len(i.content.bytes)
}

// flushFull writes the batch if there is much in it.
func (b *batch) flushFull(ctx context.Context) error {
	if len(b.items) < maxManifests && b.blobs < maxBlobs && b.bytes < maxBytes && len(b.tags) < maxTags {
		return nil
	}
	return b.flush(ctx)
}

// flush writes what is in the batch: blobs, manifests, then tags.
func (b *batch) flush(ctx context.Context) error {
	if err := b.fetchContent(ctx); err != nil {
		return err
	}
	if err := b.importManifests(ctx); err != nil {
		return err
	}
	if err := b.pointTags(ctx); err != nil {
		return err
	}
	for _, s := range b.done {
		if s.imported > 0 {
			b.count(func(sum *Summary) { sum.Repositories++ })
		}
		b.emit(Event{Kind: KindRepository, Name: s.name, Tags: s.tags, Manifests: s.imported, Skipped: s.skipped})
	}
	*b = batch{run: b.run}
	return nil
}

// need is content that a repository needs.
type fetchKey struct {
	name   string
	digest digest.Digest
	size   int64
}

// lack is why a need is not met; nil if it is.
type fetchResult struct{ err error }

// obtain sees to it that everything the manifests need is held, and leaves out those for which that cannot be. Blobs come
// before manifests, so that none comes for nothing.
func (b *batch) fetchContent(ctx context.Context) error {
	lacks := make(map[fetchKey]*fetchResult)
	if err := b.fetchEach(ctx, lacks, func(i *item) []blob { return i.blobs }); err != nil {
		return err
	}
	b.dropFailed(func(i *item) error { return i.childError() })
	if err := b.fetchOwned(ctx); err != nil {
		return err
	}
	return b.fetchEach(ctx, lacks, func(i *item) []blob { return []blob{i.content} })
}

// fetchEach obtains what of returns for each manifest.
func (b *batch) fetchEach(ctx context.Context, lacks map[fetchKey]*fetchResult, of func(*item) []blob) error {
	group, within := errgroup.WithContext(ctx)
	group.SetLimit(b.req.Parallel)
	for _, i := range b.items {
		for _, c := range of(i) {
			n := fetchKey{i.repository.name, c.digest, c.size}
			if lacks[n] != nil {
				continue
			}
			l := new(fetchResult)
			lacks[n] = l
			group.Go(func() error {
				l.err = b.run.ensureBlob(within, n.name, c)
				if endsRun(within, l.err) {
					return runError(within, l.err)
				}
				return nil
			})
		}
	}
	if err := group.Wait(); err != nil {
		return err
	}
	b.dropFailed(func(i *item) error {
		for _, c := range of(i) {
			if err := lacks[fetchKey{i.repository.name, c.digest, c.size}].err; err != nil {
				return err
			}
		}
		return nil
	})
	return nil
}

// fetchOwned sees to it that what manifests own is stored. What is told to be left out is what the place should have: the
// entries of an index and nondistributable layers. An index may lack manifests, and a manifest of an unknown type may name
// what is nowhere. What could not be had this time leaves the manifest out.
func (b *batch) fetchOwned(ctx context.Context) error {
	wrong := make(map[*item]error)
	for _, i := range b.items {
		for _, o := range i.owned {
			if i.repository.manifests[o.digest] == imported || b.has(i.repository, o.digest) {
				continue
			}
			err := b.run.ensureOwned(ctx, i.repository.name, o.blob)
			switch {
			case endsRun(ctx, err):
				return runError(ctx, err)
			case err == nil:
				i.ownedBlobs = append(i.ownedBlobs, o.digest)
			case outcomeOf(err) != missing:
				wrong[i] = err
			case o.role == mirror.RoleEntry || o.role == mirror.RoleNondistributable || !isAbsent(err):
				b.skipIn(i.repository, i.repository.name+"@"+o.digest.String(), err)
			}
		}
	}
	b.dropFailed(func(i *item) error { return wrong[i] })
	return nil
}

// has reports whether a manifest is in the batch.
func (b *batch) has(s *repository, d digest.Digest) bool {
	return slices.ContainsFunc(b.items, func(i *item) bool { return i.repository == s && i.content.digest == d })
}

// keep leaves out the items that f has an error for.
func (b *batch) dropFailed(f func(*item) error) {
	kept := b.items[:0]
	for _, i := range b.items {
		if err := f(i); err != nil {
			i.repository.manifests[i.content.digest] = outcomeOf(err)
			b.skipIn(i.repository, i.String(), err)
			continue
		}
		kept = append(kept, i)
	}
	b.items = kept
}

// childError is the error of an index with a child that could not be had this time: it would replace one that is whole.
func (i *item) childError() error {
	for _, child := range i.children {
		if i.repository.manifests[child] == failed {
			return mirror.Errorf(mirror.CodeUnavailable, "%s, which is in it, could not be had", child)
		}
	}
	return nil
}
