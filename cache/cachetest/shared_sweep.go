package cachetest

import (
	"context"
	"iter"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

// sweptElsewhere is a store whose content another node sweeps.
type sweptElsewhere struct {
	mirror.Store
	other mirror.Store
}

func (s sweptElsewhere) Sweep(ctx context.Context, requests iter.Seq[mirror.DeleteRequest], done func(mirror.DeleteResult)) error {
	return s.other.Sweep(ctx, requests, done)
}

// testSharedSweep runs the tests of sweeps with requests to one node and sweeps on the other one: what was used before is not
// recent, and what an answer promised since is kept.
func testSharedSweep(t *testing.T, open func(t *testing.T) (a, b mirror.Store)) {
	first, second := open(t)
	groups := []struct {
		name  string
		tests []storeCase
	}{
		{"Races", storeSweepRaces},
		{"Shared", sharedSweepTests},
	}
	for _, group := range groups {
		for _, test := range group.tests {
			if test.name == "Protect" { // only the same node sees it
				continue
			}
			t.Run(group.name+"/"+test.name, func(t *testing.T) {
				s := &storeTest{Store: sweptElsewhere{first, second}, t: t, ctx: t.Context()}
				test.run(s)
				s.wantNoDefects()
			})
		}
	}
	for _, s := range []mirror.Store{first, second} {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// sharedSweepTests use content on one node before the other one sweeps it.
var sharedSweepTests = []storeCase{
	promiseCase("Stat", repoA, func(s *storeTest) { s.must(errOf(s.StatBlob(s.ctx, repoA, digest.FromString("a blob")))) }),
	promiseCase("PushedAgain", repoA, func(s *storeTest) { s.push(repoA, "a blob") }),
	promiseCase("PushedElsewhere", repoB, func(s *storeTest) { s.push(repoB, "a blob") }),
	promiseCase("ReceivedAgain", repoA, func(s *storeTest) { s.receive(repoA, "a blob") }),
	promiseCase("Mounted", repoB, func(s *storeTest) { s.must(errOf(s.Mount(s.ctx, repoB, repoA, digest.FromString("a blob")))) }),
	promiseCase("MountedAgain", repoA, func(s *storeTest) {
		s.must(errOf(s.Mount(s.ctx, repoA, mirror.Repo{}, digest.FromString("a blob"))))
	}),
	manifestPromise("Manifest", func(s *storeTest, m mirror.Manifest) { s.wantManifest(repoA, m) }),
	manifestPromise("PutAgain", func(s *storeTest, m mirror.Manifest) { s.must(s.PutManifest(s.ctx, repoA, m)) }),
}

// promiseCase pushes a blob to repoA and calls happens, which uses it in repo.
func promiseCase(name string, repo mirror.Repo, happens func(s *storeTest)) storeCase {
	return storeCase{name, func(s *storeTest) {
		d := s.push(repoA, "a blob")
		before := time.Now()
		happens(s)
		s.wantDeleted(s.sweepOne(mirror.DeleteRequest{Blobs: []digest.Digest{d}, Before: before}), 0, 0)
		s.wantBlob(repo, "a blob", true)
		s.wantDeleted(s.sweepOne(mirror.DeleteRequest{Blobs: []digest.Digest{d}, Before: time.Now()}), 0, 0, "a blob")
		s.wantBlob(repo, "a blob", false)
	}}
}

// manifestPromise pushes an image without a tag, and calls happens, which uses its manifest.
func manifestPromise(name string, happens func(s *storeTest, m mirror.Manifest)) storeCase {
	return storeCase{name, func(s *storeTest) {
		m := s.pushImage(repoA, mirror.Pushed, image{config: name})
		s.wantManifest(repoA, m) // from now on, it may be cached
		observed := deleteRequest(repoA, nil, m)
		happens(s, m)
		if result := s.sweepOne(observed); result.Kept == "" {
			s.t.Errorf("a manifest was deleted that was used since: %+v", result)
		}
		s.wantManifest(repoA, m)
		s.wantDeleted(s.sweepOne(deleteRequest(repoA, nil, m)), 0, 1, string(m.Bytes), name)
		s.wantCode(errOf(s.Manifest(s.ctx, repoA, m.Digest)), mirror.CodeManifestUnknown)
	}}
}
