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
	of        *repository
	self      blob
	mediaType string
	blobs     []blob
	owned     []owned
	with      []digest.Digest // those of owned that the place has
	children  []digest.Digest
	perhaps   []digest.Digest // those of owned that are manifests if the place has no blobs of their digests
}

// owned is what a manifest names and does not need, to be had as a blob unless it is a manifest.
type owned struct {
	blob // the size is -1 if it is not known
	role mirror.Role
}

func (i *item) String() string { return i.of.name + "@" + i.self.digest.String() }

// tag is a tag on its way in.
type tag struct {
	of     *repository
	name   string
	digest digest.Digest
}

func (t tag) String() string { return t.of.name + ":" + t.name }

func (b *batch) add(i *item) {
	b.items = append(b.items, i)
	b.blobs += len(i.blobs) + len(i.owned)
	b.bytes += len(i.self.bytes)
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
	if err := b.obtain(ctx); err != nil {
		return err
	}
	if err := b.carry(ctx); err != nil {
		return err
	}
	if err := b.pointTags(ctx); err != nil {
		return err
	}
	for _, s := range b.done {
		if s.taken > 0 {
			b.count(func(sum *Summary) { sum.Repositories++ })
		}
		b.tell(Event{Kind: KindRepository, Name: s.name, Tags: s.tags, Manifests: s.taken, Left: s.left})
	}
	*b = batch{run: b.run}
	return nil
}

// need is content that a repository needs.
type need struct {
	name   string
	digest digest.Digest
	size   int64
}

// lack is why a need is not met; nil if it is.
type lack struct{ err error }

// obtain sees to it that everything the manifests need is held, and leaves out those for which that cannot be. Blobs come
// before manifests, so that none comes for nothing.
func (b *batch) obtain(ctx context.Context) error {
	lacks := make(map[need]*lack)
	if err := b.obtainEach(ctx, lacks, func(i *item) []blob { return i.blobs }); err != nil {
		return err
	}
	b.keep(func(i *item) error { return i.childFails() })
	if err := b.obtainOwned(ctx); err != nil {
		return err
	}
	return b.obtainEach(ctx, lacks, func(i *item) []blob { return []blob{i.self} })
}

// obtainEach obtains what of returns for each manifest.
func (b *batch) obtainEach(ctx context.Context, lacks map[need]*lack, of func(*item) []blob) error {
	group, within := errgroup.WithContext(ctx)
	group.SetLimit(b.req.Parallel)
	for _, i := range b.items {
		for _, c := range of(i) {
			n := need{i.of.name, c.digest, c.size}
			if lacks[n] != nil {
				continue
			}
			l := new(lack)
			lacks[n] = l
			group.Go(func() error {
				l.err = b.run.obtain(within, n.name, c)
				if ends(within, l.err) {
					return endOf(within, l.err)
				}
				return nil
			})
		}
	}
	if err := group.Wait(); err != nil {
		return err
	}
	b.keep(func(i *item) error {
		for _, c := range of(i) {
			if err := lacks[need{i.of.name, c.digest, c.size}].err; err != nil {
				return err
			}
		}
		return nil
	})
	return nil
}

// obtainOwned sees to it that what manifests own is stored. What is told to be left out is what the place should have: the
// entries of an index and nondistributable layers. An index may lack manifests, and a manifest of an unknown type may name
// what is nowhere. What could not be had this time leaves the manifest out.
func (b *batch) obtainOwned(ctx context.Context) error {
	wrong := make(map[*item]error)
	for _, i := range b.items {
		for _, o := range i.owned {
			if i.of.manifests[o.digest] == taken || b.has(i.of, o.digest) {
				continue
			}
			err := b.run.own(ctx, i.of.name, o.blob)
			switch {
			case ends(ctx, err):
				return endOf(ctx, err)
			case err == nil:
				i.with = append(i.with, o.digest)
			case outcomeOf(err) != lacking:
				wrong[i] = err
			case o.role == mirror.RoleEntry || o.role == mirror.RoleNondistributable || !absent(err):
				b.leaveOf(i.of, i.of.name+"@"+o.digest.String(), err)
			}
		}
	}
	b.keep(func(i *item) error { return wrong[i] })
	return nil
}

// has reports whether a manifest is in the batch.
func (b *batch) has(s *repository, d digest.Digest) bool {
	return slices.ContainsFunc(b.items, func(i *item) bool { return i.of == s && i.self.digest == d })
}

// keep leaves out the items that f has an error for.
func (b *batch) keep(f func(*item) error) {
	kept := b.items[:0]
	for _, i := range b.items {
		if err := f(i); err != nil {
			i.of.manifests[i.self.digest] = outcomeOf(err)
			b.leaveOf(i.of, i.String(), err)
			continue
		}
		kept = append(kept, i)
	}
	b.items = kept
}

// childFails is the error of an index with a child that could not be had this time: it would replace one that is whole.
func (i *item) childFails() error {
	for _, child := range i.children {
		if i.of.manifests[child] == failing {
			return mirror.Errorf(mirror.CodeUnavailable, "%s, which is in it, could not be had", child)
		}
	}
	return nil
}
