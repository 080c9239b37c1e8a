package cache_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/cache"
	"airmirror/cache/backend"
	"airmirror/mirror"
)

// sweep deletes blobs that were not used since now, and returns the result.
func sweep(ctx context.Context, s mirror.Store, blobs ...digest.Digest) (result mirror.DeleteResult, err error) {
	c := mirror.DeleteRequest{Blobs: blobs, Before: time.Now()}
	err = s.Sweep(ctx, slices.Values([]mirror.DeleteRequest{c}), func(one mirror.DeleteResult) { result = one })
	return result, err
}

func orphans(t *testing.T, s mirror.Store) (list []digest.Digest) {
	t.Helper()
	for orphan, err := range s.Orphans(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if orphan.Size == 0 || orphan.Written.IsZero() {
			t.Errorf("%+v", orphan)
		}
		list = append(list, orphan.Digest)
	}
	return list
}

// TestOrphans stops after the transaction and before the deletion of the file, as a crash does: the next process finds
// the orphan.
func TestOrphans(t *testing.T) {
	folder := t.TempDir()
	blobs := &hookedBlobs{Blobs: openFiles(t, folder)}
	s := newStore(t, blobs, openBolt(t, folder), cache.Options{})
	var want []digest.Digest
	for i := range 600 { // more than one batch
		if err := receive(t.Context(), s, fmt.Sprint("blob ", i)); err != nil {
			t.Fatal(err)
		}
		want = append(want, digest.FromString(fmt.Sprint("blob ", i)))
	}
	blobs.stuck.Store(true)
	result, err := sweep(t.Context(), s, want[:500]...)
	if !errors.Is(err, errBroken) || !strings.Contains(err.Error(), "492 more") {
		t.Errorf("sweep returned %v, want the first few of 500 times %v", err, errBroken)
	}
	if len(result.Blobs) != 0 || result.Bytes != 0 {
		t.Errorf("%+v went, and every file is there", result)
	}
	closeStore(t, s)

	blobs.stuck.Store(false)
	s = newStore(t, blobs, openBolt(t, folder), cache.Options{})
	defer closeStore(t, s)
	got := orphans(t, s)
	slices.Sort(got)
	slices.Sort(want[:500])
	if !slices.Equal(got, want[:500]) {
		t.Errorf("%d orphans, want 500", len(got))
	}
	for range s.Orphans(t.Context()) {
		break // a caller may stop early
	}
	for before, dropped := range map[time.Duration]bool{-time.Minute: false, time.Minute: true} {
		got, err := s.DeleteOrphan(t.Context(), want[0], time.Now().Add(before))
		if err != nil || got != (dropped) && slices.Contains(orphans(t, s), want[0]) {
			t.Errorf("dropped %v, %v; want %v", got, err, dropped)
		}
	}
	release := s.Protect(want[1])
	if dropped, err := s.DeleteOrphan(t.Context(), want[1], time.Now().Add(time.Minute)); dropped || err != nil {
		t.Errorf("dropped %v, %v; it is protected", dropped, err)
	}
	if slices.Contains(orphans(t, s), want[1]) {
		t.Error("what is protected is listed")
	}
	if release(); !slices.Contains(orphans(t, s), want[1]) {
		t.Error("what is protected no more is not listed")
	}
	if err := receive(t.Context(), s, "blob 7"); err != nil { // indexes the file
		t.Fatal(err)
	}
	if dropped, err := s.DeleteOrphan(t.Context(), digest.FromString("blob 7"), time.Now().Add(time.Minute)); dropped || err != nil {
		t.Errorf("dropped %v, %v; it has a name again", dropped, err)
	}
	read(t, s, "blob 7")
}

// sweepAside starts a sweep of d while another operation is running. It returns when the sweep has ended or waits.
func sweepAside(s mirror.Store, d digest.Digest) (done chan error) {
	done = make(chan error, 1)
	go func() {
		result, err := sweep(context.Background(), s, d)
		if err == nil && len(result.Blobs) > 0 {
			err = fmt.Errorf("%v went, and have names again", result.Blobs)
		}
		done <- err
	}()
	synctest.Wait()
	return done
}

// TestSweepBetweenCommitAndIndex deletes the entry of a blob while another push has found its file and not indexed it
// yet.
func TestSweepBetweenCommitAndIndex(t *testing.T) {
	blobs := &hookedBlobs{Blobs: openFiles(t, t.TempDir())}
	folder, d := t.TempDir(), digest.FromString("{}")
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t, blobs, openBolt(t, folder), cache.Options{})
		defer closeStore(t, s)
		if err := receive(t.Context(), s, "{}"); err != nil {
			t.Fatal(err)
		}
		var result chan error
		blobs.afterCommit = func() {
			blobs.afterCommit = nil
			time.Sleep(time.Second) // by the bubble's clock: what was stored before is old
			result = sweepAside(s, d)
			if list := orphans(t, s); len(list) != 0 {
				t.Errorf("%v are listed, and about to be named", list)
			}
			cancelled, cancel := context.WithCancel(t.Context())
			cancel()
			if dropped, err := s.DeleteOrphan(cancelled, d, time.Now().Add(time.Hour)); dropped || !errors.Is(err, context.Canceled) {
				t.Errorf("dropped %v, %v", dropped, err)
			}
		}
		if err := receive(t.Context(), s, "{}"); err != nil {
			t.Fatal(err)
		}
		if err := <-result; err != nil {
			t.Error(err)
		}
		read(t, s, "{}")
	})
}

// TestSweepBetweenManifestAndIndex is the same for a manifest, whose file is not written again.
func TestSweepBetweenManifestAndIndex(t *testing.T) {
	blobs := &hookedBlobs{Blobs: openFiles(t, t.TempDir())}
	folder, m := t.TempDir(), image("{}", mirror.Mirrored)
	synctest.Test(t, func(t *testing.T) {
		index := openBolt(t, folder)
		s := newStore(t, blobs, index, cache.Options{})
		defer closeStore(t, s)
		putManifest(t, s, m)
		if err := s.DeleteManifest(t.Context(), repo, m.Digest); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second) // by the bubble's clock: what was stored before is old
		var result chan error
		blobs.afterOpen = func() {
			blobs.afterOpen = nil
			result = sweepAside(s, m.Digest)
		}
		putManifest(t, s, m)
		if err := <-result; err != nil {
			t.Error(err)
		}
		if _, err := blobs.Stat(t.Context(), m.Digest); err != nil {
			t.Errorf("the manifest's file: %v", err)
		}
		if err := cache.Check(t.Context(), blobs, index); err != nil {
			t.Error(err)
		}
	})
}

// TestSweepIndexFails checks that a failed sweep deletes nothing, and the next one everything.
func TestSweepIndexFails(t *testing.T) {
	index := &hookedIndex{Index: openBolt(t, t.TempDir())}
	s := newStore(t, openFiles(t, t.TempDir()), index, cache.Options{})
	defer closeStore(t, s)
	if err := receive(t.Context(), s, "{}"); err != nil {
		t.Fatal(err)
	}
	index.broken.Store(true)
	if _, err := sweep(t.Context(), s, digest.FromString("{}")); !errors.Is(err, errBroken) {
		t.Errorf("sweep returned %v, want %v", err, errBroken)
	}
	read(t, s, "{}")
	index.broken.Store(false)
	if result, err := sweep(t.Context(), s, digest.FromString("{}")); err != nil || result.Bytes != 2 {
		t.Errorf("%+v went, %v", result, err)
	}
}

// TestSweepDeletesFilesInBackground checks that the next transaction does not wait for the files of the one before, and
// that the sweep itself does.
func TestSweepDeletesFilesInBackground(t *testing.T) {
	index := &hookedIndex{Index: openBolt(t, t.TempDir())}
	blobs := &hookedBlobs{Blobs: openFiles(t, t.TempDir())}
	s := newStore(t, blobs, index, cache.Options{})
	defer closeStore(t, s)
	var plan []mirror.DeleteRequest
	for i := range 100 { // more than one transaction
		blob := fmt.Sprint("blob ", i)
		if err := receive(t.Context(), s, blob); err != nil {
			t.Fatal(err)
		}
		plan = append(plan, mirror.DeleteRequest{Blobs: []digest.Digest{digest.FromString(blob)}, Before: time.Now()})
	}
	swept, first := make(chan struct{}), index.updates.Load()
	index.afterUpdate = func() {
		if index.updates.Load() == first+3 { // a transaction, one for the writers that wait, and the next transaction
			close(swept)
		}
	}
	blobs.beforeDelete = func() { <-swept }
	deleted := 0
	if err := s.Sweep(t.Context(), slices.Values(plan), func(result mirror.DeleteResult) { deleted += len(result.Blobs) }); err != nil {
		t.Fatal(err)
	}
	if list := orphans(t, s); deleted != 100 || len(list) != 0 {
		t.Errorf("%d files deleted, %d left; want 100 and none", deleted, len(list))
	}
}

// TestSweepBadRecord checks that a record that cannot be decoded is kept, and does not stop the sweep.
func TestSweepBadRecord(t *testing.T) {
	index := openBolt(t, t.TempDir())
	s := newStore(t, openFiles(t, t.TempDir()), index, cache.Options{})
	defer closeStore(t, s)
	var plan []mirror.DeleteRequest
	for _, blob := range []string{"one", "two", "three"} {
		if err := receive(t.Context(), s, blob); err != nil {
			t.Fatal(err)
		}
		m := image(blob, mirror.Pushed)
		putManifest(t, s, m)
		plan = append(plan, mirror.DeleteRequest{
			Repo: repo, Manifests: []mirror.ObservedManifest{{Digest: m.Digest, Used: time.Now()}}, Before: time.Now(),
		})
	}
	err := cache.Text(index).Update(t.Context(), backend.Locks{}, func(tx backend.WriteTx) error {
		return tx.Put(cache.TableBlobs, digest.FromString("two").String(), []byte("nonsense"))
	})
	if err != nil {
		t.Fatal(err)
	}
	var bytes []int64
	err = s.Sweep(t.Context(), slices.Values(plan), func(result mirror.DeleteResult) {
		if bytes = append(bytes, result.Bytes); (result.Kept != "") != (len(bytes) == 2) {
			t.Errorf("%d: %+v", len(bytes), result)
		}
	})
	if err == nil || !strings.Contains(err.Error(), digest.FromString("two").String()) {
		t.Errorf("sweep returned %v, want what cannot be read", err)
	}
	if len(bytes) != 3 || bytes[0] == 0 || bytes[1] != 0 || bytes[2] == 0 {
		t.Errorf("bytes that went: %v", bytes)
	}
}

// TestUseSurvivesRestart looks up a blob in one process and sweeps in the next; the lookup costs no transaction.
func TestUseSurvivesRestart(t *testing.T) {
	folder, d := t.TempDir(), digest.FromString("{}")
	index := &hookedIndex{Index: openBolt(t, folder)}
	s := newStore(t, openFiles(t, folder), index, cache.Options{})
	if err := receive(t.Context(), s, "{}"); err != nil {
		t.Fatal(err)
	}
	before, updates := time.Now(), index.updates.Load()
	for range 100 {
		if stat, err := s.StatBlob(t.Context(), repo, d); err != nil || !stat.Stored {
			t.Fatalf("%+v, %v", stat, err)
		}
	}
	if n := index.updates.Load() - updates; n != 0 {
		t.Errorf("%d transactions to ask 100 times", n)
	}
	closeStore(t, s)
	s = newStore(t, openFiles(t, folder), openBolt(t, folder), cache.Options{})
	defer closeStore(t, s)
	c := mirror.DeleteRequest{Blobs: []digest.Digest{d}, Before: before}
	if err := s.Sweep(t.Context(), slices.Values([]mirror.DeleteRequest{c}), nil); err != nil {
		t.Fatal(err)
	}
	read(t, s, "{}")
}
