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

// ahead is how many tags of a repository are asked for at a time.
const tagsAhead = 8

// live is a registry that answers.
type registry struct {
	client   RegistryClient
	store    Store
	host     string
	repos    []string // patterns
	progress mirror.Progress
}

// repositories implements [place]. What is named in full needs no catalog, which many registries do not have.
func (l *registry) repositories(ctx context.Context, leave func(string, error)) ([]string, error) {
	var names []string
	patterns := len(l.repos) == 0
	for _, pattern := range l.repos {
		if strings.ContainsAny(pattern, `*?[\`) {
			patterns = true
			continue
		}
		names = append(names, pattern)
	}
	if patterns {
		listed, err := l.client.Catalog(ctx, l.host)
		if err != nil {
			return nil, mirror.Errorf(mirror.CodeOf(err), "%s does not list its repositories (%w): name those to move in with --repo, in full", l.host, err)
		}
		names = append(names, listed...)
	}
	kept := names[:0]
	for _, name := range names {
		if err := l.repo(name).Validate(); err != nil {
			leave(name, err)
			continue
		}
		kept = append(kept, name)
	}
	return kept, nil
}

func (l *registry) repo(name string) mirror.Repo { return mirror.Repo{Host: l.host, Path: name} }

// roots implements [place].
func (l *registry) roots(ctx context.Context, name string) iter.Seq2[root, error] {
	return func(yield func(root, error) bool) {
		tags, err := l.client.Tags(ctx, l.repo(name))
		if err != nil {
			yield(root{}, err)
			return
		}
		for len(tags) > 0 {
			page := tags[:min(tagsAhead, len(tags))]
			tags = tags[len(page):]
			for n, a := range l.manifests(ctx, name, page) {
				if !yield(root{tag: page[n], digest: a.man.Digest, man: &a.man}, a.err) {
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

// ask asks for several tags at a time.
func (l *registry) manifests(ctx context.Context, name string, tags []string) []manifestResult {
	answers := make([]manifestResult, len(tags))
	var work sync.WaitGroup
	for n, tag := range tags {
		work.Go(func() {
			a := &answers[n]
			a.man, a.err = l.client.Manifest(ctx, mirror.Ref{Repo: l.repo(name), Tag: tag})
		})
	}
	work.Wait()
	return answers
}

// manifest implements [place].
func (l *registry) manifest(ctx context.Context, name string, d digest.Digest) (mirror.Manifest, error) {
	return l.client.Manifest(ctx, mirror.Ref{Repo: l.repo(name), Digest: d})
}

// referrers implements [place].
func (l *registry) referrers(ctx context.Context, name string, d digest.Digest) ([]digest.Digest, error) {
	list, err := l.client.Referrers(ctx, l.repo(name), d)
	digests := make([]digest.Digest, len(list))
	for n, desc := range list {
		digests[n] = desc.Digest
	}
	return digests, err
}

// take implements [place].
func (l *registry) fetch(ctx context.Context, name string, b blob) (linked bool, err error) {
	if b.bytes != nil {
		return false, l.receive(ctx, b, bytes.NewReader(b.bytes))
	}
	body, size, err := l.client.Blob(ctx, l.repo(name), b.digest)
	if err != nil {
		return false, err
	}
	defer body.Close()
	if b.size < 0 {
		b.size = size
	}
	if b.size < 0 { // nobody knows it
		return false, l.receive(ctx, b, body)
	}
	if size >= 0 && size != b.size {
		return false, errSize(b)
	}
	l.progress.Expect(b.size)
	w := &progressReader{Reader: io.LimitReader(body, b.size+1), progress: l.progress, left: b.size}
	defer func() { w.report(w.left) }() // there is no more to come of it
	return false, l.receive(ctx, b, w)
}

// has implements [place].
func (l *registry) has(ctx context.Context, name string, d digest.Digest) error {
	body, _, err := l.client.Blob(ctx, l.repo(name), d)
	if err == nil {
		body.Close()
	}
	return err
}

func errSize(b blob) error {
	return mirror.Errorf(mirror.CodeManifestInvalid, "blob %s has not the %d bytes that its manifest says", b.digest, b.size)
}

// receive brings what r reads into the store.
func (l *registry) receive(ctx context.Context, b blob, r io.Reader) error {
	in, err := l.store.Receive(ctx, b.digest)
	if err != nil {
		return &storeError{err}
	}
	defer in.Abort()
	source := &sourceReader{Reader: r}
	n, err := io.CopyBuffer(struct{ io.Writer }{in}, source, make([]byte, 256<<10))
	switch {
	case source.err != nil:
		return source.err
	case err != nil:
		return &storeError{err}
	case b.size >= 0 && n != b.size:
		return errSize(b)
	}
	if err := in.Verify(); err != nil {
		return err
	}
	if err := in.Commit(ctx, mirror.Repo{}); err != nil {
		return &storeError{err}
	}
	return nil
}

// source remembers why reading failed, which is not the store's fault.
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

// watched tells what was read, of what is expected.
type progressReader struct {
	io.Reader
	progress mirror.Progress
	left     int64
}

func (w *progressReader) Read(p []byte) (int, error) {
	n, err := w.Reader.Read(p)
	w.report(min(int64(n), w.left))
	return n, err
}

func (w *progressReader) report(bytes int64) {
	w.left -= bytes
	w.progress.Did(bytes)
}
