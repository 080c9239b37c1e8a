package prefetch_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
	"airmirror/sync/prefetch"
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

// eventList are the events of a run.
type eventList []prefetch.Event

func (h *eventList) add(e prefetch.Event) { *h = append(*h, e) }

// of returns the events of a kind.
func (h eventList) of(kind string) (list []prefetch.Event) {
	for _, e := range h {
		if e.Kind == kind {
			list = append(list, e)
		}
	}
	return list
}

// run runs a request and checks the events that every run has.
func run(t *testing.T, ctx context.Context, f prefetch.Fetcher, req prefetch.Request) (prefetch.Summary, eventList) {
	t.Helper()
	var events eventList
	summary := prefetch.Run(ctx, f, req, events.add)
	if len(events) < 2 || events[0].Kind != prefetch.KindPlan || events[len(events)-1].Kind != prefetch.KindDone {
		t.Fatalf("events do not begin with the plan and end when done: %+v", events)
	}
	if last := events[len(events)-1].Summary; last == nil || last.Images != summary.Images || last.Failed != summary.Failed {
		t.Errorf("the last event says %+v, Run says %+v", last, summary)
	}
	if n := len(events.of(prefetch.KindImage)); n != summary.Images || events[0].Total != int64(n) {
		t.Errorf("%d images were planned, %d events came, %d are in the summary", events[0].Total, n, summary.Images)
	}
	if len(summary.Failures) != summary.Failed {
		t.Errorf("%d failed, %d are named", summary.Failed, len(summary.Failures))
	}
	var last time.Time
	for _, e := range events {
		if e.Time.Before(last) {
			t.Errorf("event at %s after one at %s", e.Time, last)
		}
		if e.Kind == prefetch.KindProgress {
			last = e.Time
		}
	}
	return summary, events
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
