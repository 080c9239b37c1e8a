package mirror

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"
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
	// Progress is told about blobs; nobody is if it is nil.
	Progress Progress

	background bool // for a client that has gone: what is there is not revalidated
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
// is fetched if it is held whole already. It returns the first error, after everything else that could be fetched was.
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
	f.blobs(ctx)
	return f.got, errors.Join(f.failures...)
}

// fetch is one image on its way in.
type fetch struct {
	m       *Mirror
	repo    Repo
	opts    FetchOptions
	seen    map[digest.Digest]bool
	missing []v1.Descriptor // blobs, largest first

	mu       sync.Mutex // guards what follows, while blobs arrive
	got      Fetched
	failures []error
}

func (f *fetch) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failures = append(f.failures, err)
}

// root returns the manifest that the image begins with: for a tag, what its upstream says it is now.
func (f *fetch) root(ctx context.Context, ref Ref) (Manifest, error) {
	held, err := f.m.held(ctx, ref)
	if err == nil && (ref.Digest != "" || held.tag.Origin == Pushed) {
		return held.Manifest, nil
	}
	if err != nil && CodeOf(err) != CodeManifestUnknown {
		return Manifest{}, err
	}
	if why := f.m.mayAsk(ctx, ref.Repo); why != nil {
		if err == nil {
			return held.Manifest, nil
		}
		return Manifest{}, f.m.missed(ctx, CodeManifestUnknown, ref, why)
	}
	res := <-f.m.lookup("fetch "+ref.String(), func(ctx context.Context) (Manifest, error) {
		switch {
		case ref.Digest != "":
			return f.m.transferManifest(ctx, ref)
		case err == nil:
			return f.m.transferMoved(ctx, ref, held.Digest)
		default:
			return f.m.transferManifest(ctx, ref, ref.Tag)
		}
	})
	switch {
	case res.Err == nil:
		f.m.unknown.Remove(ref.String())
		return res.Val.(Manifest), nil
	case err == nil && !final(res.Err):
		return held.Manifest, nil
	}
	return Manifest{}, f.m.missed(ctx, CodeManifestUnknown, ref, res.Err)
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
		if len(children) == 0 && len(refs.Manifests) > 0 {
			f.fail(Errorf(CodeManifestUnknown, "%s@%s has no platform %s", f.repo, man.Digest, strings.Join(f.opts.Platforms, " or ")))
		}
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

// referrers fetches what refers to d: by the referrers API, and by the tags that cosign uses.
func (f *fetch) referrers(ctx context.Context, d digest.Digest) {
	list, err := f.m.Referrers(ctx, f.repo, d)
	if err != nil {
		f.fail(err)
	}
	for _, desc := range list.Items {
		f.child(ctx, desc.Digest)
	}
	for _, suffix := range []string{".sig", ".att", ".sbom"} {
		ref := Ref{Repo: f.repo, Tag: strings.Replace(d.String(), ":", "-", 1) + suffix}
		if man, err := f.root(ctx, ref); err == nil {
			f.manifest(ctx, man)
		} else if !final(errors.Unwrap(err)) && CodeOf(err) != CodeManifestUnknown {
			f.fail(err)
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

// PlatformString writes a platform as os/arch or os/arch/variant.
func PlatformString(p v1.Platform) string {
	s := p.OS + "/" + p.Architecture
	if p.Variant != "" {
		s += "/" + p.Variant
	}
	return s
}

// MatchPlatform reports whether p is what s asks for; os/arch asks for all its variants.
func MatchPlatform(s string, p v1.Platform) bool {
	return s == PlatformString(p) || s == p.OS+"/"+p.Architecture
}

func (f *fetch) blob(ctx context.Context, desc v1.Descriptor) {
	if f.seen[desc.Digest] {
		return
	}
	f.seen[desc.Digest] = true
	f.got.Blobs++
	f.got.Bytes += desc.Size
	stat, err := f.m.store.StatBlob(ctx, f.repo, desc.Digest)
	switch {
	case err != nil:
		f.fail(err)
	case !stat.Held || !stat.Linked:
		f.missing = append(f.missing, desc)
		f.opts.Progress.Expect(desc.Size)
	}
}

// blobs fetches what is missing, in as many transfers at a time as was asked for.
func (f *fetch) blobs(ctx context.Context) {
	var group errgroup.Group
	group.SetLimit(f.opts.Parallel)
	for _, desc := range f.missing {
		group.Go(func() error {
			if err := f.transfer(ctx, desc); err != nil {
				f.fail(err)
			}
			return nil
		})
	}
	_ = group.Wait() // failures are gathered
}

func (f *fetch) transfer(ctx context.Context, desc v1.Descriptor) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	ref := Ref{Repo: f.repo, Digest: desc.Digest}
	if why := f.m.mayAsk(ctx, f.repo); why != nil {
		return f.m.missed(ctx, CodeBlobUnknown, ref, why)
	}
	flight, err := f.m.fly(ctx, f.repo, desc.Digest)
	if err != nil {
		return err
	}
	var told int64
	err = flight.watch(ctx, func(arrived int64) {
		f.opts.Progress.Did(arrived - told)
		told = arrived
	})
	switch {
	case err == nil:
		f.opts.Progress.Did(desc.Size - told) // what another flight brought
		f.mu.Lock()
		f.got.New += desc.Size
		f.mu.Unlock()
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return f.m.missed(ctx, CodeBlobUnknown, ref, err)
}

// FetchBlob sees to it that a blob is held, for a want that names one.
func (m *Mirror) FetchBlob(ctx context.Context, repo Repo, d digest.Digest, progress Progress) error {
	if size, err := m.store.StatBlob(ctx, repo, d); err != nil || size.Held && size.Linked {
		return err
	}
	blob, err := m.Blob(ctx, repo, d)
	if err != nil {
		return err
	}
	defer blob.Close()
	progress.Expect(blob.Size)
	_, err = io.Copy(progressWriter{progress}, blob)
	return err
}

type progressWriter struct{ Progress }

func (w progressWriter) Write(p []byte) (int, error) {
	w.Did(int64(len(p)))
	return len(p), nil
}
