package gc_test

import (
	"context"
	"errors"
	"iter"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/gc"
	"airmirror/mirror"
)

func timeNow() time.Time { return time.Now() }

// later advances the clock of the bubble.
func later(d time.Duration) { <-time.After(d) }

// withStore runs a test with a real store in a bubble.
func withStore(t *testing.T, test func(s *testStore)) {
	t.Helper()
	folder := memoryFolder(t)
	synctest.Test(t, func(t *testing.T) {
		s := openStore(t, folder)
		defer s.close()
		test(s)
	})
}

// TestBudgetDeletesOldVersionOfTag pushes two versions of a tag and deletes the manifest of the first.
func TestBudgetDeletesOldVersionOfTag(t *testing.T) {
	withStore(t, func(s *testStore) {
		s.pushImage(team, "latest", "config 1", "base", "app 1")
		old, err := s.Tag(s.Context(), repoOf(team), "latest")
		s.must(err)
		s.pushImage(team, "latest", "config 2", "base", "app 2")
		later(2 * time.Hour)
		if r := s.collect(gc.Policy{}); r.Bytes != 0 {
			s.Errorf("before the manifest was deleted: %+v", r)
		}
		s.must(s.DeleteManifest(s.Context(), repoOf(team), old.Digest))
		r := s.collect(gc.Policy{})
		if want := int64(len("config 1") + len("app 1") + len(imageOf(mirror.Pushed, "", "config 1", "base", "app 1").Bytes)); r.Bytes != want || r.Blobs != 3 {
			s.Errorf("%+v, want %d bytes", r, want)
		}
		s.pull(team, "latest", "config 2", "base", "app 2")
		if err := s.read(team, "app 1"); mirror.CodeOf(err) != mirror.CodeBlobUnknown {
			s.Errorf("%v", err)
		}
	})
}

func TestDeleteUntaggedDeletesOldVersion(t *testing.T) {
	withStore(t, func(s *testStore) {
		s.pushImage(team, "latest", "config 1", "base", "app 1")
		s.pushImage(team, "latest", "config 2", "base", "app 2")
		later(30 * time.Minute)
		if r := s.collect(gc.Policy{DeleteUntagged: true}); r.Bytes != 0 {
			s.Errorf("within the grace period: %+v", r)
		}
		later(31 * time.Minute)
		if r := s.collect(gc.Policy{DeleteUntagged: true}); r.Manifests != 1 || r.Images != 1 || r.Blobs != 3 {
			s.Errorf("%+v", r)
		}
		s.pull(team, "latest", "config 2", "base", "app 2")
	})
}

func TestStaleUploadsAndOrphansAreDeleted(t *testing.T) {
	withStore(t, func(s *testStore) {
		up, err := s.StartUpload(s.Context(), repoOf(team), digest.SHA256)
		s.must(err)
		_, err = up.Append(strings.NewReader("half of it"))
		s.must(err)
		s.must(up.Close())
		s.crash.dead.Store(true) // the file becomes durable, but is not in the index
		orphan, err := s.Receive(s.Context(), digestOf("orphan"))
		s.must(err)
		_, err = orphan.Write([]byte("orphan"))
		s.must(err)
		if err := orphan.Commit(s.Context(), repoOf(team)); !errors.Is(err, errCrash) {
			s.Errorf("%v", err)
		}
		s.kill()
		// Files have wall clock times, not those of the bubble.
		at := time.Now().AddDate(100, 0, 0)
		p, err := gc.MakePlan(s.Context(), s, s, gc.Options{Policy: gc.Policy{UploadTTL: gc.Age(day)}}, at)
		s.must(err)
		if want := (gc.Totals{Uploads: 1, Orphans: 1, Bytes: 16}); p.Totals != want || p.Budget.Stored != 16 {
			s.Errorf("%+v, want %+v", p.Totals, want)
		}
		if r := s.execute(p); r.Totals != p.Totals || r.Kept != 0 {
			s.Errorf("%+v", r)
		}
		if r := s.execute(p); r.Bytes != 0 || r.Kept != 2 || len(r.KeptFirst) != 2 {
			s.Errorf("second execution: %+v", r)
		}
	})
}

// TestChangesAfterPlanKeepCandidates changes an image between plan and execution. The image is kept with all its
// parts.
func TestChangesAfterPlanKeepCandidates(t *testing.T) {
	for name, change := range map[string]func(s *testStore, d digest.Digest){
		"nothing": func(*testStore, digest.Digest) {},
		"pulled":  func(s *testStore, _ digest.Digest) { s.pull(hub, "v1", "config", "layer") },
		"pinned": func(s *testStore, _ digest.Digest) {
			s.must(s.SetState(s.Context(), mirror.PinState, map[string][]byte{hub + ":v1": []byte("{}")}))
		},
		"tagged": func(s *testStore, _ digest.Digest) {
			s.put(hub, imageOf(mirror.Mirrored, "", "config", "layer"), "v2")
		},
		"moved": func(s *testStore, _ digest.Digest) {
			s.put(hub, imageOf(mirror.Mirrored, "", "config"), "v1")
		},
		"child of an index": func(s *testStore, d digest.Digest) { s.put(hub, indexOf(mirror.Mirrored, d)) },
		"protected":         func(s *testStore, d digest.Digest) { s.Protect(d) },
	} {
		t.Run(name, func(t *testing.T) {
			withStore(t, func(s *testStore) {
				d := s.mirrorImage(hub, "v1", "config", "layer")
				s.push(team, "alone")
				later(2 * time.Hour)
				p := s.plan(gc.Policy{MaxSize: 1})
				if p.Totals.Images != 1 || p.Totals.Blobs != 4 {
					s.Fatalf("%+v", p.Totals)
				}
				change(s, d)
				r := s.execute(p)
				if name == "nothing" {
					if r.Totals != p.Totals || s.disk() != 0 {
						s.Errorf("result is %+v, %d bytes are left", r, s.disk())
					}
					return
				}
				if r.Kept != 1 || r.Images != 0 || r.Blobs != 1 || r.KeptFirst[0].Kept == "" || r.KeptFirst[0].Name != hub+":v1" || r.KeptFirst[0].Freed != 0 {
					s.Errorf("%+v", r)
				}
				_, err := s.Manifest(s.Context(), repoOf(hub), d)
				s.must(err)
				s.must(s.read(hub, "layer"))
			})
		})
	}
}

func TestStatBlobKeepsBlob(t *testing.T) {
	withStore(t, func(s *testStore) {
		s.pushImage(team, "v1", "config") // a repository needs a manifest
		for _, blob := range []string{"requested", "mounted", "alone"} {
			s.push(team, blob)
		}
		later(2 * time.Hour)
		p := s.plan(gc.Policy{})
		_, err := s.StatBlob(s.Context(), repoOf(team), digestOf("requested"))
		s.must(err)
		_, err = s.Mount(s.Context(), repoOf(other), repoOf(team), digestOf("mounted"))
		s.must(err)
		r := s.execute(p)
		if r.Blobs != 1 || r.Kept != 2 || r.Bytes != int64(len("alone")) {
			s.Errorf("%+v", r)
		}
		s.must(s.PutManifest(s.Context(), repoOf(team), imageOf(mirror.Pushed, "", "requested"), "v2"))
		s.must(s.PutManifest(s.Context(), repoOf(other), imageOf(mirror.Pushed, "", "mounted"), "v2"))
		err = s.PutManifest(s.Context(), repoOf(team), imageOf(mirror.Pushed, "", "alone"), "v3")
		if mirror.CodeOf(err) != mirror.CodeManifestBlobUnknown {
			s.Errorf("%v", err)
		}
	})
}

func TestEmptyRepositoryIsForgotten(t *testing.T) {
	withStore(t, func(s *testStore) {
		for repo, origin := range map[string]mirror.Origin{hub: mirror.Mirrored, team: mirror.Pushed} {
			s.push(repo, "config")
			s.must(s.DeleteManifest(s.Context(), repoOf(repo), s.put(repo, imageOf(origin, "", "config"), "v1")))
		}
		later(2 * time.Hour)
		if r := s.collect(gc.Policy{}); r.Images != 0 || s.disk() != 0 {
			s.Errorf("%+v", r)
		}
		repos, err := s.Repos(s.Context(), "", 9)
		if err != nil || len(repos) != 1 || repos[0] != repoOf(team) {
			s.Errorf("%v, %v", repos, err)
		}
	})
}

func TestExecuteStopsWithContext(t *testing.T) {
	withStore(t, func(s *testStore) {
		for i := range 9 {
			s.push(team, strings.Repeat("x", i+1))
		}
		later(2 * time.Hour)
		p := s.plan(gc.Policy{})
		ctx, cancel := context.WithCancel(s.Context())
		cancel()
		r, err := p.Execute(ctx, s, nil)
		if !errors.Is(err, context.Canceled) || r.Bytes != 0 || r.Error == "" {
			s.Errorf("%+v, %v", r, err)
		}
		if _, err := gc.MakePlan(ctx, s, s, gc.Options{}, time.Now()); !errors.Is(err, context.Canceled) {
			s.Errorf("%v", err)
		}
		if r := s.execute(p); r.Blobs != 9 {
			s.Errorf("%+v", r)
		}
	})
}

// slowStore takes 50 milliseconds for each request.
type slowStore struct{ *testStore }

func (s slowStore) Sweep(ctx context.Context, requests iter.Seq[mirror.DeleteRequest], done func(mirror.DeleteResult)) error {
	return s.testStore.Sweep(ctx, func(yield func(mirror.DeleteRequest) bool) {
		for request := range requests {
			if later(50 * time.Millisecond); !yield(request) {
				return
			}
		}
	}, done)
}

// TestThrottleRestsWhileItSweeps checks the duration of a collection that works for 6.5 seconds and rests three times as
// long.
func TestThrottleRestsWhileItSweeps(t *testing.T) {
	withStore(t, func(s *testStore) {
		for i := range 130 {
			s.put(hub, imageOf(mirror.Mirrored, "", strconv.Itoa(i)), "v"+strconv.Itoa(i))
		}
		later(2 * time.Hour)
		opts := gc.Options{Policy: gc.Policy{MaxSize: 1}, Throttle: 3}
		r, err := gc.Run(s.Context(), slowStore{s}, s, opts, nil)
		s.must(err)
		if r.Images != 130 || s.disk() != 0 || r.Seconds < 25 || r.Seconds > 27 {
			s.Errorf("130 requests that take 50 ms each took %+v", r)
		}
	})
}

func TestUsage(t *testing.T) {
	withStore(t, func(s *testStore) {
		s.pushImage(team, "v1", "config", "base")
		s.pushImage(team, "v2", "config", "base")
		s.mirrorImage(hub, "v1", "other config", "base")
		s.push(team, "alone")
		s.must(s.Unlink(s.Context(), repoOf(team), digestOf("alone")))
		repos, total, err := gc.Usage(s.Context(), s)
		s.must(err)
		man := int64(len(imageOf(mirror.Pushed, "", "config", "base").Bytes))
		theirs := int64(len(imageOf(mirror.Pushed, "", "other config", "base").Bytes))
		want := []gc.RepoUsage{
			{Repo: hub, Tags: 1, Manifests: 1, Blobs: 3, Bytes: theirs + 16, Exclusive: theirs + 12, Shared: 4},
			{Repo: team, Tags: 2, Manifests: 1, Blobs: 3, Bytes: man + 10, Exclusive: man + 6, Shared: 4},
		}
		for i := range want {
			if i >= len(repos) || repos[i] != want[i] {
				s.Errorf("%+v, want %+v", repos, want)
				break
			}
		}
		if total.Bytes != s.disk() || total.Unlinked != 5 || total.Tags != 3 || total.Manifests != 2 || total.Shared != 4 || total.Repo != "" {
			s.Errorf("%+v", total)
		}
	})
}
