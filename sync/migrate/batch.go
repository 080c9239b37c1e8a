package migrate

import (
	"context"
	"slices"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"airmirror/mirror"
)

// A batch that reaches one of these limits is written: one transaction stores many manifests.
const (
	maxManifests = 256
	maxTags      = 4096
	maxBlobs     = 16 << 10 // of all its manifests
	maxBytes     = 8 << 20  // of its manifests in memory
)

// batch collects what a worker has read and not written yet: manifests, children first, and tags. It is for one goroutine.
type batch struct {
	*run
	items []*item
	blobs int
	bytes int
	tags  []tag
	done  []*repository // completely read
}

// item is a manifest to migrate.
type item struct {
	repository     *repository
	content        blob
	mediaType      string
	blobs          []blob
	owned          []owned
	ownedBlobs     []digest.Digest // those of owned that are stored as blobs
	children       []digest.Digest
	maybeManifests []digest.Digest // those of owned that are manifests if the source has no such blobs
}

// owned is content that a manifest names and does not need. It is fetched as a blob unless it is a manifest.
type owned struct {
	blob // the size is -1 if it is unknown
	role mirror.Role
}

func (i *item) String() string { return i.repository.name + "@" + i.content.digest.String() }

// tag is a tag to migrate.
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

// flushFull writes the batch if it has reached a limit.
func (b *batch) flushFull(ctx context.Context) error {
	if len(b.items) < maxManifests && b.blobs < maxBlobs && b.bytes < maxBytes && len(b.tags) < maxTags {
		return nil
	}
	return b.flush(ctx)
}

// flush fetches the blobs and writes the manifests and the tags of the batch.
func (b *batch) flush(ctx context.Context) error {
	if err := b.fetchContent(ctx); err != nil {
		return err
	}
	if err := b.writeManifests(ctx); err != nil {
		return err
	}
	if err := b.writeTags(ctx); err != nil {
		return err
	}
	for _, s := range b.done {
		if s.migrated > 0 {
			b.count(func(sum *Summary) { sum.Repositories++ })
		}
		b.AddItem()
		b.emit(Event{Kind: KindRepository, Name: s.name, Tags: s.tags, Manifests: s.migrated, Skipped: s.skipped})
	}
	*b = batch{run: b.run}
	return nil
}

// fetchKey identifies content that a repository needs.
type fetchKey struct {
	name   string
	digest digest.Digest
	size   int64
}

// fetchResult is the result of a fetch.
type fetchResult struct{ err error }

// fetchContent stores everything that the manifests need, and drops manifests for which that fails. It fetches blobs
// before manifests, so that it fetches no manifest for an item that is dropped anyway.
func (b *batch) fetchContent(ctx context.Context) error {
	results := make(map[fetchKey]*fetchResult)
	if err := b.fetchEach(ctx, results, func(i *item) []blob { return i.blobs }); err != nil {
		return err
	}
	b.dropFailed(func(i *item) error { return i.childError() })
	if err := b.fetchOwned(ctx); err != nil {
		return err
	}
	return b.fetchEach(ctx, results, func(i *item) []blob { return []blob{i.content} })
}

// fetchEach stores the content that needed returns for each manifest.
func (b *batch) fetchEach(ctx context.Context, results map[fetchKey]*fetchResult, needed func(*item) []blob) error {
	group, within := errgroup.WithContext(ctx)
	group.SetLimit(b.req.Parallel)
	for _, i := range b.items {
		for _, c := range needed(i) {
			key := fetchKey{i.repository.name, c.digest, c.size}
			if results[key] != nil {
				continue
			}
			result := new(fetchResult)
			results[key] = result
			group.Go(func() error {
				result.err = b.ensureBlob(within, key.name, c)
				if endsRun(within, result.err) {
					return runError(within, result.err)
				}
				return nil
			})
		}
	}
	if err := group.Wait(); err != nil {
		return err
	}
	b.dropFailed(func(i *item) error {
		for _, c := range needed(i) {
			if err := results[fetchKey{i.repository.name, c.digest, c.size}].err; err != nil {
				return err
			}
		}
		return nil
	})
	return nil
}

// fetchOwned stores the content that manifests own. It reports missing entries of an index and missing nondistributable
// layers, which the source should have; a manifest of an unknown type may name content that does not exist. A manifest
// is dropped if reading its content fails for another reason than that the content is missing.
func (b *batch) fetchOwned(ctx context.Context) error {
	errs := make(map[*item]error)
	for _, i := range b.items {
		for _, o := range i.owned {
			if i.repository.manifests[o.digest] == migrated || b.has(i.repository, o.digest) {
				continue
			}
			err := b.ensureOwned(ctx, i.repository.name, o.blob)
			switch {
			case endsRun(ctx, err):
				return runError(ctx, err)
			case err == nil:
				i.ownedBlobs = append(i.ownedBlobs, o.digest)
			case outcomeOf(err) != missing:
				errs[i] = err
			case o.role == mirror.RoleEntry || o.role == mirror.RoleNondistributable || !isAbsent(err):
				b.skipIn(i.repository, i.repository.name+"@"+o.digest.String(), err)
			}
		}
	}
	b.dropFailed(func(i *item) error { return errs[i] })
	return nil
}

// has reports whether a manifest is in the batch.
func (b *batch) has(s *repository, d digest.Digest) bool {
	return slices.ContainsFunc(b.items, func(i *item) bool { return i.repository == s && i.content.digest == d })
}

// dropFailed drops and reports the manifests for which f returns an error.
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

// childError returns an error for an index with a child that exists but could not be read. Without this check, the
// index could replace a complete one.
func (i *item) childError() error {
	for _, child := range i.children {
		if i.repository.manifests[child] == failed {
			return mirror.Errorf(mirror.CodeUnavailable, "its child %s could not be read", child)
		}
	}
	return nil
}
