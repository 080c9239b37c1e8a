package cache_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/opencontainers/go-digest"

	"airmirror/cache"
	"airmirror/cache/backend"
	"airmirror/mirror"
)

// TestSummaryOfLostFiles checks that an image is not complete if a file is missing or has another size, that an image
// whose manifest is not intact is not measured, and that an unreadable record is an error of its image alone.
func TestSummaryOfLostFiles(t *testing.T) {
	folder := t.TempDir()
	index := openBolt(t, t.TempDir())
	s := newStore(t, openFiles(t, folder), index, cache.Options{})
	defer closeStore(t, s)
	path := func(d digest.Digest) string {
		return filepath.Join(folder, "blobs", "sha256", d.Encoded()[:2], d.Encoded())
	}
	var refs []mirror.Ref
	damage := map[string]func(m mirror.Manifest, config digest.Digest) error{
		"intact":  func(mirror.Manifest, digest.Digest) error { return nil },
		"missing": func(_ mirror.Manifest, d digest.Digest) error { return os.Remove(path(d)) },
		"shorter": func(_ mirror.Manifest, d digest.Digest) error { return os.WriteFile(path(d), []byte("{"), 0o600) },
		"lost":    func(m mirror.Manifest, _ digest.Digest) error { return os.Remove(path(m.Digest)) },
		"unreadable": func(m mirror.Manifest, _ digest.Digest) error {
			return cache.Text(index).Update(t.Context(), backend.Locks{}, func(tx backend.WriteTx) error {
				return tx.Put("manifests", repo.String()+"\x00"+m.Digest.String(), []byte("nonsense"))
			})
		},
	}
	names := []string{"intact", "missing", "shorter", "lost", "unreadable"}
	for _, name := range names {
		if err := receive(t.Context(), s, name); err != nil {
			t.Fatal(err)
		}
		m := image(name, mirror.Pushed)
		putManifest(t, s, m, name)
		if err := damage[name](m, digest.FromString(name)); err != nil {
			t.Fatal(err)
		}
		refs = append(refs, mirror.Ref{Repo: repo, Tag: name})
	}
	got, err := s.Summaries(t.Context(), refs)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []struct {
		measured, complete, unreadable bool
		missing                        int64
	}{{measured: true, complete: true}, {measured: true, missing: 7}, {measured: true, missing: 7}, {}, {unreadable: true}} {
		if sum := got[i]; sum.Measured != want.measured || sum.Complete != want.complete || sum.Missing != want.missing || (sum.Err != nil) != want.unreadable {
			t.Errorf("%s: %+v, want %+v", names[i], sum, want)
		}
	}
}
