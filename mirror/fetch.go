package mirror

import (
	"context"
	"errors"
	"sync"

	"github.com/opencontainers/go-digest"
)

// FetchOptions say what of an image is fetched. The zero value works: all of it, without what refers to it.
type FetchOptions struct {
	// Platforms, as os/arch or os/arch/variant, choose among those of an index; empty means all. An image for one platform
	// is for that of its config.
	Platforms []string
	// Root makes a root ([ImportedTag]) of what is named by its digest: somebody asks for the image, and not a client that
	// pulls it. Loose is as for a [ImportedTag].
	Root, SkipChildren bool
	// Referrers has signatures and everything else that refers to the image fetched, too.
	Referrers bool
	// BackfillParallel is how many blobs are fetched at a time; 4 if it is zero.
	Parallel int
	// Budget is shared by fetches that run at the same time; nil means that there is none. Each transfer of a blob holds
	// one place of it, so that there are never more than its capacity, whatever Parallel says of one fetch.
	Budget chan struct{}
	// Progress is told about blobs; nobody is if it is nil.
	Progress Progress
	// DryRun asks what there is, and stores nothing: New is how many bytes would be fetched then.
	DryRun bool
}

// Fetched is what a fetch brought in.
type Fetched struct {
	Digest    digest.Digest `json:"digest"`
	Manifests int           `json:"manifests"` // all that the image has, held before or not
	Blobs     int           `json:"blobs"`
	Bytes     int64         `json:"bytes"` // of these blobs
	New       int64         `json:"new"`   // bytes that were not held before
	// NotChecked is why the upstream could not be asked what the tag points at now, or could not give it: all else is about
	// the stored copy then. It is nil for what has no upstream to ask: a digest, and what was pushed. With
	// [FetchOptions.Referrers], it may also be why it is not known what refers to the image, which fails no image.
	NotChecked error `json:"-"`
}

// Fetch sees to it that an image is held whole: it asks the upstream what a tag points at now, and fetches every
// manifest and blob that is missing. An image of a local repository is fetched if it is held whole already. So is a tag
// that is stored and that the upstream does not confirm: [Fetched] says why then. With a tag and a digest, the upstream is
// asked for the digest, and the tag is pointed at it, unless it was pushed and points elsewhere: that is an error. It
// returns what went wrong, all of it, after everything else that could be fetched was. What it cannot have is no want:
// those are what clients asked for.
func (m *Mirror) Fetch(ctx context.Context, ref Ref, opts FetchOptions) (Fetched, error) {
	if err := m.begin(); err != nil {
		return Fetched{}, err
	}
	defer m.work.Done()
	if long, ok := m.longName(ctx, ref.Repo); ok {
		ref.Repo = long
	}
	return m.fetch(ctx, ref, opts)
}

func (m *Mirror) fetch(ctx context.Context, ref Ref, opts FetchOptions) (Fetched, error) {
	ctx = Background(WithoutUsage(ctx))
	if opts.Parallel == 0 {
		opts.Parallel = 4
	}
	if opts.Progress == nil {
		opts.Progress = NoProgress{}
	}
	platforms, err := ParsePlatforms(opts.Platforms)
	if err != nil {
		return Fetched{}, err
	}
	f := &fetch{m: m, repo: ref.Repo, opts: opts, platforms: platforms, seen: make(map[digest.Digest]bool)}
	opts.Progress.Doing(ref.String())
	root, notChecked, err := f.find(ctx, ref)
	if err != nil {
		return Fetched{}, f.unheld(ctx, ref, err)
	}
	f.got.Digest, f.got.NotChecked = root.Digest, notChecked
	f.manifest(ctx, root, true)
	err = f.errPlatforms(ref)
	if err == nil {
		err = f.name(ctx, ref, root)
	}
	if err != nil {
		f.fail(err)
	}
	f.blobs(ctx)
	if err := ctx.Err(); err != nil {
		f.fail(err)
	}
	if len(f.failures) == 0 && !opts.DryRun {
		m.fetchedWhole(f.repo, f.seen)
		m.wants.fulfilled(f.repo, root.Digest, ref.Tag)
		for d := range f.seen { // also by what was here already, by way of another repository
			m.wants.fulfilled(f.repo, d)
		}
	}
	return f.got, errors.Join(f.failures...)
}

// fetch is one image on its way in.
type fetch struct {
	m       *Mirror
	repo    Repo
	opts    FetchOptions
	seen    map[digest.Digest]bool
	missing []part // blobs
	// unchecked are stored blobs that are to be verified.
	unchecked []part
	// platforms are those that are asked for, declined those that the image is for beside them. accepted: some of what was
	// asked for is for one of the platforms.
	platforms Platforms
	declined  []string
	accepted  bool

	mu       sync.Mutex // guards what follows, while blobs arrive
	got      Fetched
	failures []error
}

func (f *fetch) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failures = append(f.failures, err)
}
