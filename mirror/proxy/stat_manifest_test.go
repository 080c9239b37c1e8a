package proxy_test

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
	"airmirror/mirror/proxy"
)

// countingStore counts the look-ups that are not answered from memory.
type countingStore struct {
	mirror.Store
	lookups int
}

func (s *countingStore) StatContent(ctx context.Context, d digest.Digest) (int64, error) {
	s.lookups++
	return s.Store.StatContent(ctx, d)
}

func (s *countingStore) RepoOrigin(ctx context.Context, repo mirror.Repo) (mirror.Origin, error) {
	s.lookups++
	return s.Store.RepoOrigin(ctx, repo)
}

// TestHeadRequestsCheckTheFileOncePerSecond checks that HEAD makes no look-up in the store that GET does not make, except
// that it checks the file of the manifest once per second.
func TestHeadRequestsCheckTheFileOncePerSecond(t *testing.T) {
	inTime(t, func(t *testing.T) {
		counting := &countingStore{}
		p := startOver(t, proxy.Options{}, func(s mirror.Store) mirror.Store { counting.Store = s; return counting })
		p.push(app, "{}")
		d := p.tag("v1")
		requests := func(ref mirror.Ref, want int) {
			t.Helper()
			counting.lookups = 0
			for range 3 {
				answer, err := p.StatManifest(t.Context(), ref)
				if p.must(err); answer.Digest != d {
					t.Fatalf("%s is %s, want %s", ref, answer.Digest, d)
				}
			}
			if counting.lookups != want {
				t.Errorf("3 HEAD requests for %s made %d look-ups, want %d", ref, counting.lookups, want)
			}
		}
		requests(byTag("v1"), 1)
		requests(byDigest(d), 0)
		later(time.Second)
		requests(byDigest(d), 1)
		requests(byTag("v1"), 0)

		p.must(os.Remove(p.path(d)))
		later(time.Second)
		for _, ref := range []mirror.Ref{byTag("v1"), byDigest(d)} {
			if answer, err := p.StatManifest(t.Context(), ref); mirror.CodeOf(err) != mirror.CodeManifestUnknown {
				t.Errorf("%s is %s, %v although its file is lost", ref, answer.Digest, err)
			}
		}
	})
}
