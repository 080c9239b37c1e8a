package prefetch_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
	"airmirror/sync/prefetch"
	"airmirror/sync/progress"
)

// fake is a [prefetch.Fetcher] with tags and without content.
type fake struct {
	tags    map[string][]string // by repository
	stale   error               // of every listing
	refused error
	// stored are the digests that FindDigest finds.
	stored []digest.Digest
	fetch  func(context.Context, mirror.Ref, mirror.FetchOptions) (mirror.Fetched, error)
	blob   func(context.Context, mirror.Repo, digest.Digest, mirror.Progress) error

	mu      sync.Mutex
	fetched []string
}

func (f *fake) FindDigest(_ context.Context, _ mirror.Repo, text string) (digest.Digest, error) {
	return mirror.ChooseDigest(text, f.stored)
}

func (f *fake) Names() mirror.Names { return mirror.Names{} }

func (f *fake) Tags(_ context.Context, repo mirror.Repo, after string, n int) (mirror.Listing[string], error) {
	tags, ok := f.tags[repo.String()]
	if !ok {
		return mirror.Listing[string]{}, mirror.Errorf(mirror.CodeNameUnknown, "there is no %s", repo)
	}
	i, found := slices.BinarySearch(tags, after)
	if found {
		i++
	}
	return mirror.Listing[string]{Items: tags[i:min(len(tags), i+n)], Stale: f.stale, Refused: f.refused}, nil
}

func (f *fake) Fetch(ctx context.Context, ref mirror.Ref, opts mirror.FetchOptions) (mirror.Fetched, error) {
	f.mu.Lock()
	f.fetched = append(f.fetched, ref.String())
	f.mu.Unlock()
	if f.fetch == nil {
		return mirror.Fetched{Digest: digest.FromString(ref.String())}, nil
	}
	return f.fetch(ctx, ref, opts)
}

func (f *fake) FetchBlob(ctx context.Context, repo mirror.Repo, d digest.Digest, p mirror.Progress) error {
	f.mu.Lock()
	f.fetched = append(f.fetched, "blob "+d.String())
	f.mu.Unlock()
	if f.blob == nil {
		return errors.New("no blobs")
	}
	return f.blob(ctx, repo, d, p)
}

func (f *fake) PeekBlob(context.Context, mirror.Repo, digest.Digest) (size, missing int64, err error) {
	return 0, 0, errors.New("no blobs")
}

// run runs a request and checks the results and the progress that every run has.
func run(t *testing.T, ctx context.Context, f prefetch.Fetcher, req prefetch.Request) (prefetch.Summary, []prefetch.Result, progress.Snapshot) {
	t.Helper()
	var results []prefetch.Result
	var p progress.Reporter
	summary := prefetch.Run(ctx, f, req, &p, func(r prefetch.Result) { results = append(results, r) })
	now := p.Snapshot()
	if len(results) != summary.Images || now.Items != summary.Images || now.TotalItems != summary.Images {
		t.Errorf("%d results came, the progress is %+v, %d images are in the summary", len(results), now, summary.Images)
	}
	if len(summary.Failures) != summary.Failed {
		t.Errorf("%d failed, %d are named", summary.Failed, len(summary.Failures))
	}
	return summary, results, now
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func marshal(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	must(t, err)
	return b
}
