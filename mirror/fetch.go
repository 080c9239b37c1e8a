package mirror

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// Progress is told about long work, by any goroutine. A terminal's bar, the admin API and logs all listen through it.
type Progress interface {
	// Expect adds to the bytes that there are to do.
	Expect(bytes int64)
	// Did adds to the bytes that are done.
	Did(bytes int64)
	// Doing says what is being worked on, for people.
	Doing(what string)
}

// NoProgress listens to nothing.
type NoProgress struct{}

func (NoProgress) Expect(int64) {}
func (NoProgress) Did(int64)    {}
func (NoProgress) Doing(string) {}

// FetchOptions say what of an image is fetched. The zero value works: all of it, without what refers to it.
type FetchOptions struct {
	// Platforms, as os/arch or os/arch/variant, choose among those of an index; empty means all.
	Platforms []string
	// Referrers has signatures and everything else that refers to the image fetched, too.
	Referrers bool
	// Parallel is how many blobs are fetched at a time; 4 if it is zero.
	Parallel int
	// Budget is shared by fetches that run at the same time; nil means that there is none. Each transfer of a blob holds
	// one place of it, so that there are never more than its capacity, whatever Parallel says of one fetch.
	Budget chan struct{}
	// Progress is told about blobs; nobody is if it is nil.
	Progress Progress
}

// Fetched is what a fetch brought in.
type Fetched struct {
	Digest    digest.Digest `json:"digest"`
	Manifests int           `json:"manifests"` // all that the image has, held before or not
	Blobs     int           `json:"blobs"`
	Bytes     int64         `json:"bytes"` // of these blobs
	New       int64         `json:"new"`   // bytes that were not held before
}

// Fetch sees to it that an image is held whole: it asks the upstream what a tag points at now, and fetches every
// manifest and blob that is missing. An image of a local repository, or any image while its upstream cannot be reached,
// is fetched if it is held whole already. It returns what went wrong, all of it, after everything else that could be
// fetched was. What it cannot have is no want: those are what clients asked for.
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
	ctx = look(ctx)
	if opts.Parallel == 0 {
		opts.Parallel = 4
	}
	if opts.Progress == nil {
		opts.Progress = NoProgress{}
	}
	f := &fetch{m: m, repo: ref.Repo, opts: opts, seen: make(map[digest.Digest]bool)}
	opts.Progress.Doing(ref.String())
	root, err := f.root(ctx, ref)
	if err != nil {
		return Fetched{}, err
	}
	f.got.Digest = root.Digest
	f.manifest(ctx, root)
	if f.filtered && f.got.Blobs == 0 && len(f.failures) == 0 {
		f.fail(Errorf(CodeManifestUnknown, "%s has no platform %s", ref, strings.Join(opts.Platforms, " or ")))
	}
	f.blobs(ctx)
	if err := ctx.Err(); err != nil {
		f.fail(err)
	}
	if len(f.failures) == 0 {
		m.fetchedWhole(f.repo, f.seen)
	}
	return f.got, errors.Join(f.failures...)
}

// fetch is one image on its way in.
type fetch struct {
	m       *Mirror
	repo    Repo
	opts    FetchOptions
	seen    map[digest.Digest]bool
	missing []v1.Descriptor // blobs
	// filtered: an index has none of the platforms that are asked for.
	filtered bool

	mu       sync.Mutex // guards what follows, while blobs arrive
	got      Fetched
	failures []error
}

func (f *fetch) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failures = append(f.failures, err)
}

// root returns the manifest that the image begins with, or that it leads to: for a tag, what its upstream says it is now.
func (f *fetch) root(ctx context.Context, ref Ref) (Manifest, error) {
	man, why := f.find(ctx, ref)
	if why != nil && ctx.Err() == nil && !isStoreFault(why) {
		return Manifest{}, unheld(CodeManifestUnknown, ref, why)
	}
	return man, why
}

// find returns a manifest, or why it cannot be had.
func (f *fetch) find(ctx context.Context, ref Ref) (Manifest, error) {
	held, err := f.m.held(ctx, ref)
	if err == nil && (ref.Digest != "" || held.tag.Origin == Pushed) {
		return held.Manifest, nil
	}
	if err != nil && CodeOf(err) != CodeManifestUnknown {
		return Manifest{}, &storeFault{err}
	}
	if why := f.m.mayAsk(ctx, ref.Repo); why != nil {
		if err == nil {
			return held.Manifest, nil
		}
		return Manifest{}, why
	}
	what := "fetch "
	if err == nil {
		what = "revalidate "
	}
	answer := f.m.lookup(what+ref.String(), func(net context.Context) (Manifest, error) {
		switch {
		case ref.Digest != "":
			return f.m.transferManifest(net, ref)
		case err == nil:
			return f.m.transferMoved(look(net), ref, held.Digest)
		default:
			return f.m.transferManifest(net, ref, ref.Tag)
		}
	})
	select {
	case res := <-answer:
		switch {
		case res.Err == nil:
			f.m.unknown.Remove(ref.String())
			man := res.Val.(Manifest)
			if _, err := f.m.store.Manifest(ctx, ref.Repo, man.Digest); err != nil { // clients get it all the same
				return Manifest{}, &storeFault{Errorf(CodeUnknown, "%s cannot be kept: %w", ref, err)}
			}
			return man, nil
		case err == nil && !final(res.Err):
			return held.Manifest, nil
		}
		return Manifest{}, res.Err
	case <-ctx.Done():
		return Manifest{}, ctx.Err()
	}
}

// heldManifest is a manifest with the tag it was found by.
type heldManifest struct {
	Manifest
	tag Tag
}

func (m *Mirror) held(ctx context.Context, ref Ref) (held heldManifest, err error) {
	if ref.Digest == "" {
		if held.tag, err = m.store.Tag(ctx, ref.Repo, ref.Tag); err != nil {
			return held, err
		}
		ref.Digest = held.tag.Digest
	}
	held.Manifest, err = m.store.Manifest(ctx, ref.Repo, ref.Digest)
	return held, err
}

// manifest walks a manifest: its children and referrers are fetched, its blobs gathered.
func (f *fetch) manifest(ctx context.Context, man Manifest) {
	if f.seen[man.Digest] || ctx.Err() != nil {
		return
	}
	f.seen[man.Digest] = true
	f.got.Manifests++
	_, refs, err := ParseManifest(man.MediaType, man.Bytes)
	if err != nil {
		f.fail(Errorf(CodeOf(err), "%s@%s: %w", f.repo, man.Digest, err))
		return
	}
	for _, desc := range refs.Blobs {
		f.blob(ctx, desc)
	}
	children := refs.Manifests
	if len(f.opts.Platforms) > 0 {
		children = slices.DeleteFunc(slices.Clone(children), func(desc v1.Descriptor) bool { return !f.wanted(desc) })
		f.filtered = f.filtered || len(children) == 0 && len(refs.Manifests) > 0
	}
	for _, desc := range children {
		f.child(ctx, desc.Digest)
	}
	if f.opts.Referrers {
		f.referrers(ctx, man.Digest)
	}
}

func (f *fetch) child(ctx context.Context, d digest.Digest) {
	if f.seen[d] {
		return
	}
	man, err := f.root(ctx, Ref{Repo: f.repo, Digest: d})
	if err != nil {
		f.fail(err)
		return
	}
	f.manifest(ctx, man)
}

// referrers fetches what refers to d: by the referrers API, and by the tags that cosign uses. Offline, that is what is
// held of it; it is a failure if an upstream that might know of more cannot be asked.
func (f *fetch) referrers(ctx context.Context, d digest.Digest) {
	for after, more := digest.Digest(""), true; more; {
		list, err := f.m.Referrers(Patiently(ctx), f.repo, d, after, page, referrersSize)
		if err == nil && !errors.Is(list.Stale, errOffline) {
			err = list.Stale
		}
		if err != nil && after == "" {
			f.fail(Errorf(CodeUnavailable, "cannot tell what refers to %s@%s: %w", f.repo, d, err))
		}
		for _, desc := range list.Items {
			f.child(ctx, desc.Digest)
			after = desc.Digest
		}
		more = list.More && ctx.Err() == nil
	}
	for _, suffix := range []string{".sig", ".att", ".sbom"} {
		ref := Ref{Repo: f.repo, Tag: strings.Replace(d.String(), ":", "-", 1) + suffix}
		switch man, why := f.find(ctx, ref); {
		case why == nil:
			f.manifest(ctx, man)
		case !final(why) && !errors.Is(why, errOffline):
			f.fail(Errorf(CodeUnavailable, "cannot tell whether there is %s: %w", ref, why))
		}
	}
}

// wanted reports whether an index's entry is for one of the platforms. An entry without one is for all; attestations
// of a build say "unknown" and come with the referrers.
func (f *fetch) wanted(desc v1.Descriptor) bool {
	if desc.Platform == nil {
		return true
	}
	if desc.Platform.OS == "unknown" {
		return f.opts.Referrers
	}
	return slices.ContainsFunc(f.opts.Platforms, func(p string) bool { return MatchPlatform(p, *desc.Platform) })
}
