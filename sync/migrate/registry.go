package migrate

import (
	"bytes"
	"context"
	"io"
	"iter"
	"strings"
	"sync"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

// tagsAhead is how many tags of a repository are requested concurrently.
const tagsAhead = 8

// registry is a source that is read through its API.
type registry struct {
	client   RegistryClient
	store    Store
	host     string
	repos    []string // patterns
	progress mirror.Progress
}

// repositories implements [source]. It does not request the catalog, which many registries do not have, if the request names
// all repositories in full.
func (r *registry) repositories(ctx context.Context, skip func(string, error)) ([]string, error) {
	var names []string
	patterns := len(r.repos) == 0
	for _, pattern := range r.repos {
		if strings.ContainsAny(pattern, `*?[\`) {
			patterns = true
			continue
		}
		names = append(names, pattern)
	}
	if patterns {
		listed, err := r.client.Catalog(ctx, r.host)
		if mirror.CodeOf(err) == mirror.CodeUnavailable {
			return nil, err
		}
		if err != nil {
			return nil, mirror.Errorf(mirror.CodeOf(err), "%s does not list its repositories (%w): name the repositories to migrate with --repo, in full", r.host, err)
		}
		names = append(names, listed...)
	}
	valid := names[:0]
	for _, name := range names {
		if err := r.repo(name).Validate(); err != nil {
			skip(name, err)
			continue
		}
		valid = append(valid, name)
	}
	return valid, nil
}

func (r *registry) repo(name string) mirror.Repo { return mirror.Repo{Host: r.host, Path: name} }

// roots implements [source].
func (r *registry) roots(ctx context.Context, name string) iter.Seq2[root, error] {
	return func(yield func(root, error) bool) {
		tags, err := r.client.Tags(ctx, r.repo(name))
		if err != nil {
			yield(root{}, err)
			return
		}
		for len(tags) > 0 {
			page := tags[:min(tagsAhead, len(tags))]
			tags = tags[len(page):]
			for n, result := range r.manifests(ctx, name, page) {
				if !yield(root{tag: page[n], digest: result.man.Digest, man: &result.man}, result.err) {
					return
				}
			}
		}
	}
}

type manifestResult struct {
	man mirror.Manifest
	err error
}

// manifests requests the manifests of several tags concurrently.
func (r *registry) manifests(ctx context.Context, name string, tags []string) []manifestResult {
	results := make([]manifestResult, len(tags))
	var requests sync.WaitGroup
	for n, tag := range tags {
		requests.Go(func() {
			result := &results[n]
			result.man, result.err = r.client.Manifest(ctx, mirror.Ref{Repo: r.repo(name), Tag: tag})
		})
	}
	requests.Wait()
	return results
}

// manifest implements [source].
func (r *registry) manifest(ctx context.Context, name string, d digest.Digest) (mirror.Manifest, error) {
	return r.client.Manifest(ctx, mirror.Ref{Repo: r.repo(name), Digest: d})
}

// referrers implements [source].
func (r *registry) referrers(ctx context.Context, name string, d digest.Digest) ([]digest.Digest, error) {
	list, err := r.client.Referrers(ctx, r.repo(name), d)
	digests := make([]digest.Digest, len(list))
	for n, desc := range list {
		digests[n] = desc.Digest
	}
	return digests, err
}

// fetch implements [source].
func (r *registry) fetch(ctx context.Context, name string, b blob) (linked bool, err error) {
	if b.bytes != nil {
		return false, r.receive(ctx, b, bytes.NewReader(b.bytes))
	}
	body, size, err := r.client.Blob(ctx, r.repo(name), b.digest)
	if err != nil {
		return false, err
	}
	defer body.Close()
	if b.size < 0 {
		b.size = size
	}
	if b.size < 0 { // the registry does not state the size either
		return false, r.receive(ctx, b, body)
	}
	if size >= 0 && size != b.size {
		return false, errSize(b, size)
	}
	r.progress.AddTotal(b.size)
	counted := &progressReader{Reader: io.LimitReader(body, b.size+1), progress: r.progress, left: b.size}
	defer func() { counted.report(counted.left) }() // after an error the rest is not expected any more
	return false, r.receive(ctx, b, counted)
}

// has implements [source].
func (r *registry) has(ctx context.Context, name string, d digest.Digest) error {
	body, _, err := r.client.Blob(ctx, r.repo(name), d)
	if err == nil {
		body.Close()
	}
	return err
}

// receive copies from into the store.
func (r *registry) receive(ctx context.Context, b blob, from io.Reader) error {
	w, err := r.store.Receive(ctx, b.digest)
	if err != nil {
		return &storeError{err}
	}
	defer w.Abort()
	source := &sourceReader{Reader: from}
	n, err := io.CopyBuffer(struct{ io.Writer }{w}, source, make([]byte, 256<<10))
	switch {
	case source.err != nil:
		return source.err
	case err != nil:
		return &storeError{err}
	case b.size >= 0 && n != b.size:
		return mirror.Errorf(mirror.CodeManifestInvalid, "blob %s does not have the %d bytes that its manifest says", b.digest, b.size)
	}
	if err := w.Verify(); err != nil {
		return err
	}
	if err := w.Commit(ctx, mirror.Repo{}); err != nil {
		return &storeError{err}
	}
	return nil
}

// sourceReader keeps the error of the source, to tell it from an error of the store.
type sourceReader struct {
	io.Reader
	err error
}

func (s *sourceReader) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

// progressReader reports the bytes that were read, up to the expected number.
type progressReader struct {
	io.Reader
	progress mirror.Progress
	left     int64
}

func (p *progressReader) Read(b []byte) (int, error) {
	n, err := p.Reader.Read(b)
	p.report(min(int64(n), p.left))
	return n, err
}

func (p *progressReader) report(bytes int64) {
	p.left -= bytes
	p.progress.AddDone(bytes)
}
