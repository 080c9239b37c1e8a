package proxy

import (
	"context"
	"errors"
	"sync"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

// Fetch sees to it that an image is held whole: it asks the upstream what a tag points at now, and fetches every
// manifest and blob that is missing. An image of a local repository is fetched if it is held whole already. So is a tag
// that is stored and that the upstream does not confirm: [mirror.Fetched] says why then. With a tag and a digest, the upstream is
// asked for the digest, and the tag is pointed at it, unless it was pushed and points elsewhere: that is an error. It
// returns what went wrong, all of it, after everything else that could be fetched was. What it cannot have is no want:
// those are what clients asked for.
func (m *Proxy) Fetch(ctx context.Context, ref mirror.Ref, opts mirror.FetchOptions) (mirror.Fetched, error) {
	if err := m.begin(); err != nil {
		return mirror.Fetched{}, err
	}
	defer m.work.Done()
	if long, ok := m.longName(ctx, ref.Repo); ok {
		ref.Repo = long
	}
	return m.fetch(ctx, ref, opts)
}

func (m *Proxy) fetch(ctx context.Context, ref mirror.Ref, opts mirror.FetchOptions) (mirror.Fetched, error) {
	ctx = mirror.Background(mirror.WithoutUsage(ctx))
	if opts.Parallel == 0 {
		opts.Parallel = 4
	}
	if opts.Progress == nil {
		opts.Progress = mirror.NoProgress{}
	}
	platforms, err := mirror.ParsePlatforms(opts.Platforms)
	if err != nil {
		return mirror.Fetched{}, err
	}
	f := &fetch{m: m, repo: ref.Repo, opts: opts, platforms: platforms, seen: make(map[digest.Digest]bool)}
	opts.Progress.Doing(ref.String())
	root, notChecked, err := f.find(ctx, ref)
	if err != nil {
		return mirror.Fetched{}, f.unheld(ctx, ref, err)
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
	m       *Proxy
	repo    mirror.Repo
	opts    mirror.FetchOptions
	seen    map[digest.Digest]bool
	missing []part // blobs
	// unchecked are stored blobs that are to be verified.
	unchecked []part
	// platforms are those that are asked for, declined those that the image is for beside them. accepted: some of what was
	// asked for is for one of the platforms.
	platforms mirror.Platforms
	declined  []string
	accepted  bool

	mu       sync.Mutex // guards what follows, while blobs arrive
	got      mirror.Fetched
	failures []error
}

func (f *fetch) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failures = append(f.failures, err)
}
