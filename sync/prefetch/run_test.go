package prefetch_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
	"airmirror/sync/prefetch"
)

func TestOneFailureDoesNotAffectOthers(t *testing.T) {
	f := &fake{fetch: func(_ context.Context, ref mirror.Ref, _ mirror.FetchOptions) (mirror.Fetched, error) {
		switch ref.Tag {
		case "broken":
			return mirror.Fetched{}, mirror.Errorf(mirror.CodeManifestUnknown, "gone")
		case "half":
			return mirror.Fetched{Digest: "sha256:half", Bytes: 7, New: 3}, errors.Join(errors.New("one"), errors.New("two"))
		}
		return mirror.Fetched{Digest: "sha256:whole", Bytes: 10, New: 5}, nil
	}}
	summary, results, _ := run(t, t.Context(), f, prefetch.Request{Images: []string{"a:1", "a:broken", "b:half", "docker.io/library/a:1", "b:1"}})
	if summary.Images != 4 || summary.Bytes != 27 || summary.New != 13 {
		t.Errorf("%+v", summary)
	}
	failed(t, summary, "docker.io/library/a:broken: gone", "docker.io/library/b:half: one; two")
	for _, e := range results {
		wantFetched, wantError := e.Image != "docker.io/library/a:broken", !strings.HasSuffix(e.Image, ":1")
		if (e.Fetched != nil) != wantFetched || (e.Error != "") != wantError {
			t.Errorf("%+v", e)
		}
	}
}

// TestUncheckedImagesAreListed has stored tags that upstream does not confirm: a complete image, an incomplete one, and one
// that upstream has deleted.
func TestUncheckedImagesAreListed(t *testing.T) {
	down := mirror.Errorf(mirror.CodeUnavailable, "docker.io does not answer: no route")
	f := &fake{fetch: func(_ context.Context, ref mirror.Ref, _ mirror.FetchOptions) (mirror.Fetched, error) {
		fetched := mirror.Fetched{Digest: "sha256:x", Bytes: 10}
		switch ref.Tag {
		case "stale":
			fetched.NotChecked = down
		case "gone":
			fetched.NotChecked = mirror.Errorf(mirror.CodeManifestUnknown, "upstream docker.io does not have manifest docker.io/library/a:gone: 404 Not Found")
		case "half":
			fetched.NotChecked = down
			return fetched, errors.New("lacks a layer")
		}
		return fetched, nil
	}}
	summary, results, _ := run(t, t.Context(), f, prefetch.Request{Images: []string{"a:1", "a:stale", "a:gone", "a:half"}})
	failed(t, summary, "docker.io/library/a:half: lacks a layer")
	want := []string{"docker.io/library/a:gone: docker.io does not have it", "docker.io/library/a:stale: docker.io does not answer: no route"}
	if summary.NotChecked != 2 || !slices.Equal(summary.Unchecked, want) {
		t.Errorf("%d not checked: %q, want %q", summary.NotChecked, summary.Unchecked, want)
	}
	for _, e := range results {
		if (e.NotChecked == "") != (e.Image == "docker.io/library/a:1") {
			t.Errorf("%+v", e)
		}
	}
}

func TestWantsAreFetched(t *testing.T) {
	d := digest.FromString("layer")
	f := &fake{blob: func(_ context.Context, repo mirror.Repo, got digest.Digest, p mirror.Progress) error {
		if repo.String() != "ghcr.io/org/app" || got != d {
			t.Errorf("blob %s of %s", got, repo)
		}
		p.AddTotal(5)
		p.AddDone(5)
		return nil
	}}
	summary, _, done := run(t, t.Context(), f, prefetch.Request{
		Images: []string{"ghcr.io/org/app:v1"},
		Wants:  []mirror.Want{{Ref: "ghcr.io/org/app:v1"}, {Ref: "ghcr.io/org/app@" + d.String(), Blob: true}},
	})
	slices.Sort(f.fetched)
	if got := strings.Join(f.fetched, " "); got != "blob "+d.String()+" ghcr.io/org/app:v1" {
		t.Errorf("fetched %s", got)
	}
	if summary.Failed != 0 || summary.Images != 2 || summary.New != 5 || done.Total != 5 || done.Done != 5 {
		t.Errorf("%+v, %+v", summary, done)
	}
}

// gauge is a number and its maximum.
type gauge struct {
	mu        sync.Mutex
	now, most int
}

func (g *gauge) add(n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.now += n
	g.most = max(g.most, g.now)
}

// TestTransfersShareABudget has fetches that use the budget as the mirror does.
func TestTransfersShareABudget(t *testing.T) {
	for parallel, want := range map[int]int{0: 4, 1: 1, 3: 3} {
		synctest.Test(t, func(t *testing.T) {
			var transfers, fetches gauge
			f := &fake{fetch: func(_ context.Context, ref mirror.Ref, opts mirror.FetchOptions) (mirror.Fetched, error) {
				fetches.add(1)
				defer fetches.add(-1)
				if opts.Parallel != cap(opts.Budget) {
					t.Errorf("a fetch may use %d of %d transfers", opts.Parallel, cap(opts.Budget))
				}
				done := make(chan bool)
				for range opts.Parallel {
					go func() {
						opts.Budget <- struct{}{}
						transfers.add(1)
						<-time.After(time.Second)
						transfers.add(-1)
						<-opts.Budget
						done <- true
					}()
				}
				for range opts.Parallel {
					<-done
				}
				return mirror.Fetched{Digest: "sha256:x"}, nil
			}}
			run(t, t.Context(), f, prefetch.Request{Images: []string{"a", "b", "c", "d", "e"}, Parallel: parallel})
			if transfers.most != want || fetches.most != 2 {
				t.Errorf("parallel %d: %d transfers of %d images at a time", parallel, transfers.most, fetches.most)
			}
		})
	}
}

func TestCancelStopsAtOnceAndReportsTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		f := &fake{fetch: func(ctx context.Context, ref mirror.Ref, _ mirror.FetchOptions) (mirror.Fetched, error) {
			if ref.Repo.Path == "library/a" {
				return mirror.Fetched{Digest: "sha256:x"}, nil
			}
			<-ctx.Done()
			return mirror.Fetched{Digest: "sha256:x", Bytes: 3}, ctx.Err()
		}}
		time.AfterFunc(time.Second, cancel)
		start := time.Now()
		summary, _, _ := run(t, ctx, f, prefetch.Request{Images: []string{"a", "b", "c", "d", "e"}})
		if since := time.Since(start); since != time.Second {
			t.Errorf("ended after %s", since)
		}
		const broken, left = "not all of it was fetched", "not fetched: the run was ended"
		failed(t, summary, "b:latest: "+broken, "c:latest: "+broken, "d:latest: "+left, "e:latest: "+left)
		if summary.Images != 5 {
			t.Errorf("%+v", summary)
		}
		// A canceled run sends no request.
		f.fetched = nil
		summary, _, _ = run(t, ctx, f, prefetch.Request{Images: []string{"a"}, Wants: []mirror.Want{{Ref: "ghcr.io/a/b:1"}}})
		if len(f.fetched) != 0 || summary.Failed != 2 {
			t.Errorf("fetched %s, %+v", f.fetched, summary)
		}
	})
}
