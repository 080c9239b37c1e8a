package cache_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"airmirror/cache"
	"airmirror/cache/backend"
	"airmirror/mirror"
)

// owner returns a manifest of an unknown type, which names blobs and needs none of them.
func owner(origin mirror.Origin, blobs ...string) mirror.Manifest {
	doc := map[string]any{"mediaType": "application/vnd.tomorrow.manifest+json"}
	for i, blob := range blobs {
		doc[fmt.Sprint("part", i)] = map[string]any{"digest": digest.FromString(blob)}
	}
	m := written("application/vnd.tomorrow.manifest+json", doc)
	m.Origin = origin
	return m
}

// withoutOwned turns an index into one of schema 2: of what manifests own, it has only the children of indexes, without
// uses.
func withoutOwned(t *testing.T, index backend.Index, schema string) {
	t.Helper()
	err := index.Update(t.Context(), backend.Locks{}, func(tx backend.WriteTx) error {
		var err error
		change := func(table backend.Table, f func(k, value string) (string, bool)) {
			changed := make(map[string]string)
			var deleted []string
			for k, value := range tx.Scan(table, "", "") {
				if now, keep := f(k, string(value)); !keep {
					deleted = append(deleted, k)
				} else if now != string(value) {
					changed[k] = now
				}
			}
			for _, k := range deleted {
				err = errors.Join(err, tx.Delete(table, k))
			}
			for k, value := range changed {
				err = errors.Join(err, tx.Put(table, k, []byte(value)))
			}
		}
		owned := make(map[string]bool)
		change(cache.TableManifests, func(_, value string) (string, bool) {
			before, list, found := strings.Cut(value, `,"owned":[`)
			if !found {
				return value, true
			}
			list, _, _ = strings.Cut(list, "]")
			for _, d := range strings.Split(list, ",") {
				owned[strings.Trim(d, `"`)] = true
			}
			return before + "}", true
		})
		change(cache.TableUses, func(_, value string) (string, bool) { return value, !strings.Contains(value, `"owned"`) })
		change(cache.TableLinks, func(k, value string) (string, bool) {
			d, _, _ := strings.Cut(k, "\x00")
			return value, !owned[d] || !strings.Contains(value, "announced")
		})
		change(cache.TableParents, func(k, value string) (string, bool) {
			d, _, _ := strings.Cut(k, "\x00")
			return value, !owned[d]
		})
		return errors.Join(err, tx.Put(cache.TableMeta, "schema", []byte(schema)))
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestMigrationOfOwned opens an index of schema 2, whose manifests do not say what they own.
func TestMigrationOfOwned(t *testing.T) {
	for _, schema := range []string{`{"version":2}`, `{"version":3,"migrating":true}`} {
		t.Run(schema, func(t *testing.T) {
			s := stock(t)
			s.must(receive(t.Context(), s.Store, "part"))
			putManifest(t, s.Store, owner(mirror.Pushed, "part", "absent"), "owner")
			lost := owner(mirror.Mirrored, "part", "of what lost its file")
			putManifest(t, s.Store, lost)
			for i := range 200 { // more than three transactions
				putManifest(t, s.Store, owner(mirror.Pushed, "part", fmt.Sprint(i)))
			}
			s.must(s.DeleteManifest(t.Context(), repo, lost.Digest))
			putManifest(t, s.Store, lost)
			all := []backend.Table{cache.TableManifests, cache.TableUses, cache.TableParents, cache.TableBlobs}
			want := s.entries(all...)
			closeStore(t, s.Store)
			old := oldIndex(t, s.reopenIndex())
			withoutOwned(t, old, schema)
			s.index = migrated(t, s.blobs, old)
			s.Store = newStore(t, s.blobs, s.index, cache.Options{})
			same(t, s.entries(all...), want)
			s.must(cache.Check(t.Context(), s.blobs, s.index))
			s.finds(mirror.CheckOptions{})
		})
	}
}

// reopenIndex opens the index after the store has closed it.
func (s *shelf) reopenIndex() backend.Index {
	s.t.Helper()
	s.index = openBolt(s.t, s.indexFolder)
	return s.index
}

// TestMigrationSkipsLostManifests checks that a manifest without its file keeps its record, and the others are
// migrated.
func TestMigrationSkipsLostManifests(t *testing.T) {
	s := stock(t)
	s.must(receive(t.Context(), s.Store, "part"))
	lost, left := owner(mirror.Pushed, "part", "a"), owner(mirror.Pushed, "part", "b")
	putManifest(t, s.Store, lost, "lost")
	putManifest(t, s.Store, left, "left")
	closeStore(t, s.Store)
	old := oldIndex(t, s.reopenIndex())
	withoutOwned(t, old, `{"version":2}`)
	s.remove(lost.Digest)
	s.index = migrated(t, s.blobs, old)
	s.Store = newStore(t, s.blobs, s.index, cache.Options{})
	s.finds(mirror.CheckOptions{}, mirror.Missing)
	if tag, err := s.Tag(t.Context(), repo, "lost"); err != nil || tag.Digest != lost.Digest {
		t.Errorf("tag is %+v, %v", tag, err)
	}
	var by []digest.Digest
	by, err := s.ReferencedBy(t.Context(), repo, digest.FromString("part"))
	if err != nil || len(by) != 1 || by[0] != left.Digest {
		t.Errorf("part is named by %v, %v", by, err)
	}
}

// TestLostOwnedIsADefect checks that a lost owned blob of a pushed manifest is a defect, and one that was never stored
// is not.
func TestLostOwnedIsADefect(t *testing.T) {
	s := stock(t)
	s.must(receive(t.Context(), s.Store, "part"))
	m := owner(mirror.Pushed, "part", "never here")
	putManifest(t, s.Store, m, "owner")
	d := digest.FromString("part")
	s.finds(mirror.CheckOptions{})
	s.remove(d)
	defect := s.finds(mirror.CheckOptions{}, mirror.Missing)[0]
	if defect.Digest != d || len(defect.Repos) != 1 || defect.Repos[0] != repo.String() {
		t.Errorf("%+v", defect)
	}
	if left := s.mend(); len(left) != 1 || left[0].Digest != d || !strings.Contains(left[0].Reason, "names it, but its file is lost") {
		t.Errorf("left is %+v", left)
	}
	s.must(receive(t.Context(), s.Store, "part"))
	s.finds(mirror.CheckOptions{})
}

// TestRebuildOfOwned checks that repositories regain access to what their manifests own, except what belongs to others.
func TestRebuildOfOwned(t *testing.T) {
	evil := mirror.Repo{Host: "docker.io", Path: "evil/app"}
	for name, backedUp := range map[string]bool{"with a backup": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			s := stock(t)
			s.must(receive(t.Context(), s.Store, "part"))
			s.must(receive(t.Context(), s.Store, "secret"))
			putManifest(t, s.Store, image("secret", mirror.Pushed), "secret")
			m := owner(mirror.Pushed, "part")
			putManifest(t, s.Store, m, "owner")
			thief := owner(mirror.Pushed, "secret", "part")
			s.must(s.PutManifest(t.Context(), evil, thief, "thief"))
			sources := cache.RebuildSources{Names: names(
				cache.RebuildName{Repo: repo, Tag: "secret", Digest: image("secret", mirror.Pushed).Digest},
				cache.RebuildName{Repo: evil, Tag: "thief", Digest: thief.Digest, MediaType: thief.MediaType},
				cache.RebuildName{Repo: repo, Tag: "owner", Digest: m.Digest, MediaType: m.MediaType},
			)}
			if backedUp {
				sources = cache.RebuildSources{Backup: s.backup()}
			}
			s.rebuild(sources)
			for _, want := range []struct {
				repo   mirror.Repo
				blob   string
				linked bool
			}{{repo, "part", true}, {repo, "secret", true}, {evil, "secret", false}, {evil, "part", !backedUp}} {
				if stat, err := s.StatBlob(t.Context(), want.repo, digest.FromString(want.blob)); err != nil || !stat.Stored || stat.Linked != want.linked {
					t.Errorf("%q in %s is %+v, %v", want.blob, want.repo, stat, err)
				}
			}
			man, err := s.Manifest(t.Context(), repo, m.Digest)
			if err != nil || !bytes.Equal(man.Bytes, m.Bytes) {
				t.Errorf("%q, %v", man.Bytes, err)
			}
		})
	}
}
