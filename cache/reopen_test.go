package cache_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"airmirror/cache"
	"airmirror/cache/backend"
	"airmirror/mirror"
)

// TestReopen checks that the next process finds what was acknowledged.
func TestReopen(t *testing.T) {
	ctx, folder := t.Context(), t.TempDir()
	s := newStore(t, openFiles(t, folder), openBolt(t, folder), cache.Options{})
	if err := receive(ctx, s, "{}"); err != nil {
		t.Fatal(err)
	}
	pushed, mirrored := image("{}", mirror.Pushed), image("elsewhere", mirror.Mirrored)
	putManifest(t, s, pushed, "pushed")
	putManifest(t, s, mirrored, "mirrored")
	before, err := s.Tag(ctx, repo, "mirrored")
	if err != nil {
		t.Fatal(err)
	}
	u, err := s.StartUpload(ctx, repo, digest.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := u.Append(strings.NewReader("half ")); err != nil {
		t.Fatal(err)
	}
	if err := u.Close(); err != nil {
		t.Fatal(err)
	}
	closeStore(t, s)

	s = newStore(t, openFiles(t, folder), openBolt(t, folder), cache.Options{})
	defer closeStore(t, s)
	wantTag(t, s, "pushed", pushed.Digest)
	if after, err := s.Tag(ctx, repo, "mirrored"); err != nil || after != before {
		t.Errorf("tag is %+v, %v; it was %+v", after, err, before)
	}
	for _, m := range []mirror.Manifest{pushed, mirrored} {
		got, err := s.Manifest(ctx, repo, m.Digest)
		if err != nil || string(got.Bytes) != string(m.Bytes) || got.Origin != m.Origin {
			t.Errorf("manifest is %+v, %v", got, err)
		}
	}
	stat, err := s.StatBlob(ctx, repo, digest.FromString("elsewhere"))
	if want := (mirror.BlobStat{Referenced: true, Required: true, Size: 9}); err != nil || stat != want {
		t.Errorf("blob that is awaited: %+v, %v; want %+v", stat, err, want)
	}
	u, err = s.Upload(ctx, repo, u.ID())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := u.Append(strings.NewReader("whole")); err != nil {
		t.Fatal(err)
	}
	if err := u.Commit(ctx, digest.FromString("half whole")); err != nil {
		t.Error(err)
	}
}

// TestNewerSchema checks that an index of a newer schema is refused and not changed.
func TestNewerSchema(t *testing.T) {
	ctx, folder := context.Background(), t.TempDir()
	blobs, index := openFiles(t, folder), openBolt(t, folder)
	defer index.Close()
	version := func(v string) {
		err := index.Update(ctx, backend.Locks{}, func(tx backend.WriteTx) error { return tx.Put(cache.TableMeta, "schema", []byte(v)) })
		if err != nil {
			t.Fatal(err)
		}
	}
	version(`{"version":6}`)
	if _, err := cache.New(blobs, index, cache.Options{}); err == nil || !strings.Contains(err.Error(), "newer version") {
		t.Errorf("index with a newer schema: %v", err)
	}
	version(`{"version":3}`)
	if _, err := cache.New(blobs, index, cache.Options{}); err == nil || !strings.Contains(err.Error(), "has schema 3") {
		t.Errorf("index with an older schema: %v", err)
	}
	version(`{"version":5}`)
	closeStore(t, newStore(t, blobs, index, cache.Options{}))
}

// TestSchemaOfSameForm opens an index of schema 4, whose records of blobs lack the platform. They stay as they are, and a
// program of schema 4 does not open the index any more.
func TestSchemaOfSameForm(t *testing.T) {
	blobs, folder := openFiles(t, t.TempDir()), t.TempDir()
	const config = `{"os":"linux","architecture":"arm64","variant":"v8"}`
	d, man := digest.FromString(config), image(config, mirror.Pushed)
	summary := func(s *cache.Store) mirror.Summary {
		sums, err := s.Summaries(t.Context(), []mirror.Ref{{Repo: repo, Tag: "v1"}})
		if err != nil || sums[0].Err != nil {
			t.Fatal(err, sums[0].Err)
		}
		return sums[0]
	}
	s := newStore(t, blobs, openBolt(t, folder), cache.Options{})
	if err := receive(t.Context(), s, config); err != nil {
		t.Fatal(err)
	}
	putManifest(t, s, man, "v1")
	if sum := summary(s); sum.Platform != "linux/arm64/v8" || sum.Config != "" {
		t.Errorf("a new image is %+v", sum)
	}
	closeStore(t, s)

	index := openBolt(t, folder)
	err := cache.Text(index).Update(t.Context(), backend.Locks{}, func(tx backend.WriteTx) error {
		old := strings.Replace(string(tx.Get(cache.TableBlobs, d.String())), `,"platform":"linux/arm64/v8"`, "", 1)
		return errors.Join(tx.Put(cache.TableBlobs, d.String(), []byte(old)), tx.Put(cache.TableMeta, "schema", []byte(`{"version":4}`)))
	})
	if err != nil {
		t.Fatal(err)
	}
	s = newStore(t, blobs, index, cache.Options{})
	defer closeStore(t, s)
	if sum := summary(s); sum.Platform != "" || sum.Config != d || !sum.Complete {
		t.Errorf("an image of schema 4 is %+v", sum)
	}
	err = index.View(t.Context(), func(tx backend.ReadTx) error {
		if schema := string(tx.Get(cache.TableMeta, "schema")); schema != `{"version":5}` {
			t.Errorf("schema is %s", schema)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
