package cache_test

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/cache"
	"airmirror/cache/backend"
	"airmirror/mirror"
)

func asFlaw(err error, target **mirror.DefectError) bool { return errors.As(err, target) }

func key(parts ...string) string { return strings.Join(parts, "\x00") }

func TestOrphansAreIndexed(t *testing.T) {
	s := stock(t)
	orphan, wrong, young := digest.FromString("orphan"), digest.FromString("right"), digest.FromString("young")
	s.overwrite(orphan, "orphan")
	s.overwrite(wrong, "wrong")
	s.overwrite(young, "young")
	s.must(os.Chtimes(s.path(young), time.Time{}, time.Now()))
	s.finds(mirror.CheckOptions{Fast: true}, mirror.Orphaned, mirror.Orphaned)
	if remains := s.mend(); len(remains) != 0 {
		t.Errorf("%+v remains", remains)
	}
	if names := s.quarantined(); len(names) != 2 {
		t.Errorf("in quarantine: %v", names)
	}
	if stat, err := s.StatBlob(t.Context(), repo, orphan); err != nil || !stat.Stored || stat.Linked {
		t.Errorf("%+v, %v: want it to be held and nobody to read it", stat, err)
	}
	if stat, err := s.StatBlob(t.Context(), repo, wrong); err != nil || stat.Stored {
		t.Errorf("%+v, %v", stat, err)
	}
	s.must(cache.Check(t.Context(), s.blobs, s.index))
}

// TestLostEntriesAreRestored checks that entries are written again from the files.
func TestLostEntriesAreRestored(t *testing.T) {
	for _, tt := range []struct {
		name string
		lose func(s *shelf) digest.Digest
	}{
		{"blob", func(*shelf) digest.Digest { return digest.FromString("pushed") }},
		{"manifest", func(s *shelf) digest.Digest { return s.mirrored.Digest }},
	} {
		for _, value := range []string{"", "rubbish"} {
			t.Run(tt.name+" "+value, func(t *testing.T) {
				s := stock(t)
				d := tt.lose(s)
				s.must(os.Chtimes(s.path(d), time.Time{}, time.Now().Add(-time.Hour)))
				s.write(func(tx backend.WriteTx) error {
					if value != "" {
						return tx.Put(cache.TableBlobs, d.String(), []byte(value))
					}
					return tx.Delete(cache.TableBlobs, d.String())
				})
				if value == "" {
					s.finds(mirror.CheckOptions{}, mirror.Orphaned)
				} else {
					s.finds(mirror.CheckOptions{}, mirror.Dangling)
				}
				if remains := s.mend(); len(remains) != 0 {
					t.Errorf("%+v remains", remains)
				}
				s.must(cache.Check(t.Context(), s.blobs, s.index))
			})
		}
	}
}

// TestEntryOfWrongSizeIsRepaired checks that the right file stays.
func TestEntryOfWrongSizeIsRepaired(t *testing.T) {
	s := stock(t)
	d := digest.FromString("pushed")
	s.write(func(tx backend.WriteTx) error {
		return tx.Put(cache.TableBlobs, d.String(), []byte(`{"size":7,"added":"2020-01-01T00:00:00Z"}`))
	})
	s.finds(mirror.CheckOptions{}, mirror.Damaged)
	if remains := s.mend(); len(remains) != 0 || len(s.quarantined()) != 0 {
		t.Errorf("%+v remains; in quarantine: %v", remains, s.quarantined())
	}
	s.must(cache.Check(t.Context(), s.blobs, s.index))
}

// TestDanglingEntriesAreDeleted checks that entries which a manifest implies are written again, and others deleted.
func TestDanglingEntriesAreDeleted(t *testing.T) {
	gone, name := digest.FromString("nobody's").String(), repo.String()
	used := `{"used":"2020-01-01T00:00:00Z"}`
	tag := `{"digest":"` + gone + `","origin":"pushed","updated":"2020-01-01T00:00:00Z"}`
	for _, tt := range []struct {
		name       string
		table      backend.Table
		key, value string // a value of "" deletes
	}{
		{"tag without manifest", cache.TableTags, key(name, "gone"), tag},
		{"tag that cannot be read", cache.TableTags, key(name, "gone"), "rubbish"},
		{"tag of no repository", cache.TableTags, "gone", tag},
		{"use by no manifest", cache.TableUses, key(gone, name, gone), `{"size":1}`},
		{"use that its manifest does not know", cache.TableUses, key(gone, name, "%pushed"), `{"size":1}`},
		{"link to nothing", cache.TableLinks, key(gone, name), `{"added":"2020-01-01T00:00:00Z"}`},
		{"referrer that is gone", cache.TableReferrers, key(name, "%pushed", gone), `{"mediaType":"a/b","digest":"` + gone + `","size":1}`},
		{"referrer to something else", cache.TableReferrers, key(name, gone, "%referrer"), `{"mediaType":"a/b","digest":"` + gone + `","size":1}`},
		{"recency of nothing", cache.TableRecency, key(name, gone), used},
		{"child of no index", cache.TableParents, key("%pushed", name, gone), "{}"},
		{"child that its index does not name", cache.TableParents, key(gone, name, "%list"), "{}"},
		{"manifest of no tag", cache.TableTagged, key(name, "%pushed", "gone"), "{}"},
		{"manifest without the use of its file", cache.TableUses, key("%pushed", name, "%pushed"), ""},
		{"manifest without the use of its blob", cache.TableUses, key("%config", name, "%pushed"), ""},
		{"manifest without a link", cache.TableLinks, key("%never", name), ""},
		{"manifest that is no referrer", cache.TableReferrers, key(name, "%pushed", "%referrer"), ""},
		{"manifest that cannot be read", cache.TableManifests, key(name, "%list"), "rubbish"},
		{"index without the mark of its child", cache.TableParents, key("%pushed", name, "%list"), ""},
		{"tag that its manifest does not know", cache.TableTagged, key(name, "%list", "list"), ""},
		{"root that is gone", cache.TableRoots, key(name, gone), `{"added":"2020-01-01T00:00:00Z"}`},
		{"root that cannot be read", cache.TableRoots, key(name, "%pushed"), "rubbish"},
		{"repository", cache.TableRepos, name, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := stock(t)
			k := strings.NewReplacer("%pushed", s.pushed.Digest.String(), "%referrer", s.referrer.Digest.String(), "%list", s.list.Digest.String(),
				"%config", digest.FromString("pushed").String(), "%never", digest.FromString("never came").String()).Replace(tt.key)
			s.write(func(tx backend.WriteTx) error {
				if tt.value == "" {
					return tx.Delete(tt.table, k)
				}
				return tx.Put(tt.table, k, []byte(tt.value))
			})
			found := s.defects(mirror.CheckOptions{Fast: true})
			if len(found) == 0 {
				t.Fatal("nothing is found")
			}
			for _, defect := range found {
				if defect.Kind != mirror.Dangling || defect.Entry == "" || defect.Reason == "" {
					t.Errorf("%+v", defect)
				}
			}
			if remains := s.mend(); len(remains) != 0 {
				t.Errorf("%+v remains of %+v", remains, found)
			}
			s.must(cache.Check(t.Context(), s.blobs, s.index))
			wantTag(t, s.Store, "list", s.list.Digest)
			_, err := s.Tag(t.Context(), repo, "gone")
			wantCode(t, err, mirror.CodeManifestUnknown)
		})
	}
}

// TestTagRestoresManifest checks that the record of a tag's manifest is restored from its file.
func TestTagRestoresManifest(t *testing.T) {
	s := stock(t)
	s.write(func(tx backend.WriteTx) error {
		return tx.Delete(cache.TableManifests, key(repo.String(), s.pushed.Digest.String()))
	})
	if remains := s.mend(); len(remains) != 0 {
		t.Errorf("%+v", remains)
	}
	m, err := s.Manifest(t.Context(), repo, s.pushed.Digest)
	if err != nil || m.Origin != mirror.Pushed || m.MediaType != s.pushed.MediaType {
		t.Errorf("%+v, %v", m, err)
	}
	wantTag(t, s.Store, "latest", s.pushed.Digest)
	s.must(cache.Check(t.Context(), s.blobs, s.index))
}

// TestRootRestoresManifest checks that the record of a root's manifest is restored from its file.
func TestRootRestoresManifest(t *testing.T) {
	s := stock(t)
	_, err := s.PointTags(t.Context(), []mirror.ImportedTag{{Repo: repo, Digest: s.referrer.Digest}}, false)
	s.must(err)
	s.write(func(tx backend.WriteTx) error {
		return tx.Delete(cache.TableManifests, key(repo.String(), s.referrer.Digest.String()))
	})
	if remains := s.mend(); len(remains) != 0 {
		t.Errorf("%+v", remains)
	}
	m, err := s.Manifest(t.Context(), repo, s.referrer.Digest)
	if err != nil || m.Origin != mirror.Imported || m.MediaType != s.referrer.MediaType {
		t.Errorf("%+v, %v", m, err)
	}
	if roots, err := s.Roots(t.Context(), repo, "", 9); err != nil || len(roots) != 1 {
		t.Errorf("%v, %v", roots, err)
	}
	s.must(cache.Check(t.Context(), s.blobs, s.index))
}

// TestRepairedTagLeavesCache checks that a tag which a repair deleted is not served from memory.
func TestRepairedTagLeavesCache(t *testing.T) {
	s := stock(t)
	wantTag(t, s.Store, "pushed", s.pushed.Digest)
	s.write(func(tx backend.WriteTx) error {
		return tx.Delete(cache.TableManifests, key(repo.String(), s.pushed.Digest.String()))
	})
	s.remove(s.pushed.Digest)
	s.mend()
	_, err := s.Tag(t.Context(), repo, "pushed")
	wantCode(t, err, mirror.CodeManifestUnknown)
}

// TestDefectsOfManyPages checks a table of many pages, and finds the defects of the first, the last and other entries once
// each, in the order of the keys. It does so while entries are deleted.
func TestDefectsOfManyPages(t *testing.T) {
	s := stock(t)
	man := image("{}", mirror.Pushed)
	var tags []string
	for i := range 3000 {
		tags = append(tags, fmt.Sprintf("t%05d", i))
	}
	s.must(receive(t.Context(), s.Store, "{}"))
	putManifest(t, s.Store, man, tags...)
	var want []string
	s.write(func(tx backend.WriteTx) error {
		want = nil
		for i := range tags { // a whole page and more, so that its first and its last entry are among them
			if i != 0 && i != 2999 && (i < 300 || i > 600) {
				continue
			}
			want = append(want, "tags "+repo.String()+" "+tags[i])
			if err := tx.Delete(cache.TableTagged, key(repo.String(), man.Digest.String(), tags[i])); err != nil {
				return err
			}
		}
		return nil
	})
	for _, deleting := range []bool{false, true} {
		var got []string
		for defect, err := range s.Defects(t.Context(), mirror.CheckOptions{Fast: true}) {
			s.must(err)
			got = append(got, defect.Entry)
			if !deleting || len(got)%100 != 1 {
				continue
			}
			s.write(func(tx backend.WriteTx) error { // both entries of tags that are in order
				for i := len(got) * 9; i < len(got)*9+200; i++ {
					if slices.Contains(want, "tags "+repo.String()+" "+tags[i]) {
						continue
					}
					err := errors.Join(tx.Delete(cache.TableTags, key(repo.String(), tags[i])), tx.Delete(cache.TableTagged, key(repo.String(), man.Digest.String(), tags[i])))
					if err != nil {
						return err
					}
				}
				return nil
			})
		}
		if !slices.Equal(got, want) {
			t.Errorf("while entries are deleted: %t: found %q, want %q", deleting, got, want)
		}
	}
}
