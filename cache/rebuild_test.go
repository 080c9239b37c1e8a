package cache_test

import (
	"context"
	"encoding/json"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/cache"
	"airmirror/cache/backend"
	"airmirror/cache/bolt"
	"airmirror/mirror"
)

// backup copies the index of a shelf and opens the copy.
func (s *shelf) backup() backend.Index {
	s.t.Helper()
	path := filepath.Join(s.t.TempDir(), "backup")
	file, err := os.Create(path)
	s.must(err)
	_, err = s.Backup(s.t.Context(), file)
	s.must(err)
	s.must(file.Close())
	index, err := bolt.OpenCopy(path)
	s.must(err)
	s.t.Cleanup(func() { index.Close() })
	return index
}

// rebuild deletes the index and makes a new one. It returns what was reported, as "kind reference".
func (s *shelf) rebuild(sources cache.RebuildSources) (cache.RebuildSummary, []string) {
	s.t.Helper()
	s.index = openBolt(s.t, s.t.TempDir())
	var reported []string
	summary, err := cache.Rebuild(s.t.Context(), s.blobs, s.index, sources, func(e cache.RebuildEvent) {
		if e.Reason == "" || (e.Digest == "") != (e.Kind == cache.RebuildUnreadable) {
			s.t.Errorf("%+v", e)
		}
		reported = append(reported, string(e.Kind)+" "+e.Ref)
	})
	s.must(err)
	closeStore(s.t, s.Store)
	s.Store = newStore(s.t, s.blobs, s.index, cache.Options{})
	s.must(cache.Check(s.t.Context(), s.blobs, s.index))
	s.finds(mirror.CheckOptions{})
	return summary, reported
}

// entries returns the entries of tables that a rebuild restores byte by byte.
func (s *shelf) entries(tables ...backend.Table) map[string]string {
	s.t.Helper()
	all := make(map[string]string)
	s.must(cache.Text(s.index).View(s.t.Context(), func(tx backend.ReadTx) error {
		for _, table := range tables {
			for k, value := range tx.Scan(table, "", "") {
				all[string(table)+" "+k] = string(value)
			}
		}
		return nil
	}))
	return all
}

const clockEntry = "meta clock"

// clockOf returns when an index was last used, by its clock.
func clockOf(t *testing.T, entries map[string]string) time.Time {
	var record struct{ Time time.Time }
	if err := json.Unmarshal([]byte(entries[clockEntry]), &record); err != nil || record.Time.IsZero() {
		t.Errorf("clock %q: %v", entries[clockEntry], err)
	}
	return record.Time
}

// same compares the entries of two indexes. The clock may advance.
func same(t *testing.T, got, want map[string]string) {
	t.Helper()
	for k, value := range want {
		if k == clockEntry {
			if at, before := clockOf(t, got), clockOf(t, want); at.Before(before) || at.Sub(before) > time.Hour {
				t.Errorf("the clock went from %v to %v", before, at)
			}
			continue
		}
		if got[k] != value {
			t.Errorf("%q is %s, want %s", k, got[k], value)
		}
	}
	for k := range got {
		if _, ok := want[k]; !ok {
			t.Errorf("%q is new", k)
		}
	}
}

func names(names ...cache.RebuildName) iter.Seq2[cache.RebuildName, error] {
	return func(yield func(cache.RebuildName, error) bool) {
		for _, name := range names {
			if !yield(name, nil) {
				return
			}
		}
	}
}

func TestRebuildFromABackupIsTheSame(t *testing.T) {
	for _, fast := range []bool{false, true} {
		s := stock(t)
		other := mirror.Repo{Host: "docker.io", Path: "library/other"} // has the index, and nothing that it names
		s.must(s.PutManifest(t.Context(), other, s.list, "list"))
		_, err := s.PointTags(t.Context(), []mirror.ImportedTag{{Repo: other, Digest: s.list.Digest}}, false)
		s.must(err)
		s.must(s.SetState(t.Context(), "pin", map[string][]byte{repo.String() + ":latest": []byte("{}")}))
		tables := []backend.Table{cache.TableMeta, cache.TableRepos, cache.TableBlobs, cache.TableManifests, cache.TableUses, cache.TableTags,
			cache.TableReferrers, cache.TableParents, cache.TableTagged, cache.TableRecency, cache.TableRoots, "notes"}
		before, backup := s.entries(tables...), s.backup()
		summary, reported := s.rebuild(cache.RebuildSources{Backup: backup, Fast: fast})
		same(t, s.entries(tables...), before)
		if len(reported) != 0 || summary.Files != 6 || summary.Manifests != 5 || summary.Tags != 5 || summary.Bytes == 0 {
			t.Errorf("%+v, reported %v", summary, reported)
		}
	}
}

// TestRebuildWithoutNamesLosesNothing checks that indexes and referrers are recovered as units.
func TestRebuildWithoutNamesLosesNothing(t *testing.T) {
	s := stock(t)
	alone := image("alone", mirror.Pushed)
	s.must(receive(t.Context(), s.Store, "alone"))
	putManifest(t, s.Store, alone, "alone")
	summary, reported := s.rebuild(cache.RebuildSources{})
	recovered := cache.RecoveredRepo
	if repos, err := s.Repos(t.Context(), "", 10); err != nil || len(repos) != 1 || repos[0] != recovered {
		t.Errorf("%v, %v", repos, err)
	}
	tags, err := s.Tags(t.Context(), recovered, "", 10)
	s.must(err)
	want := []string{alone.Digest.Encoded()[:12], s.list.Digest.Encoded()[:12]}
	if slices.Sort(want); !slices.Equal(tags, want) {
		t.Errorf("tags are %v, want %v: an index rather than its children", tags, want)
	}
	for _, m := range []mirror.Manifest{alone, s.list, s.pushed, s.referrer} {
		if got, err := s.Manifest(t.Context(), recovered, m.Digest); err != nil || got.Origin != mirror.Pushed || got.MediaType != m.MediaType {
			t.Errorf("%+v, %v", got, err)
		}
	}
	if list, _, err := s.Referrers(t.Context(), recovered, s.pushed.Digest, "", 10, 1<<20); err != nil || len(list) != 1 {
		t.Errorf("referrers: %v, %v", list, err)
	}
	// The mirrored image lacks its config, and its origin is unknown.
	if summary.Manifests != 4 || summary.Tags != 2 || summary.Events[cache.RebuildIncomplete] != 1 || len(reported) != 3 {
		t.Errorf("%+v, reported %v", summary, reported)
	}
}

func TestRebuildFromNames(t *testing.T) {
	s := stock(t)
	other := mirror.Repo{Host: "docker.io", Path: "library/other"}
	summary, reported := s.rebuild(cache.RebuildSources{Names: names(
		cache.RebuildName{Repo: repo, Tag: "list", Digest: s.list.Digest, Origin: mirror.Imported},
		cache.RebuildName{Repo: other, Tag: "mirrored", Digest: s.mirrored.Digest, Origin: mirror.Mirrored, MediaType: s.mirrored.MediaType},
		cache.RebuildName{Repo: other, Tag: "mirrored", Digest: s.list.Digest, Origin: mirror.Mirrored},
		cache.RebuildName{Repo: other, Tag: "gone", Digest: digest.FromString("gone"), Origin: mirror.Pushed},
		cache.RebuildName{Repo: other, Digest: s.pushed.Digest, Origin: mirror.Pushed, Root: true},
		cache.RebuildName{Repo: other, Digest: digest.FromString("gone"), Origin: mirror.Pushed, Root: true},
	)})
	for in, want := range map[mirror.Repo]int{repo: 0, other: 1} {
		if roots, err := s.Roots(t.Context(), in, "", 9); err != nil || len(roots) != want || want > 0 && roots[0].Digest != s.pushed.Digest {
			t.Errorf("roots of %s are %v, %v; want %d of them", in, roots, err, want)
		}
	}
	wantTag(t, s.Store, "list", s.list.Digest)
	if tag, err := s.Tag(t.Context(), other, "mirrored"); err != nil || tag.Digest != s.mirrored.Digest || tag.Origin != mirror.Mirrored {
		t.Errorf("%+v, %v", tag, err)
	}
	for _, d := range []digest.Digest{s.pushed.Digest, s.referrer.Digest} {
		for _, repo := range []mirror.Repo{repo, other} {
			if _, err := s.Manifest(t.Context(), repo, d); err != nil {
				t.Error(err)
			}
		}
	}
	if origin, err := s.RepoOrigin(t.Context(), other); err != nil || origin != mirror.Mirrored {
		t.Errorf("%s, %v", origin, err)
	}
	slices.Sort(reported)
	want := []string{"conflict " + other.String() + ":mirrored", "incomplete " + repo.String() + "@" + s.mirrored.Digest.String(),
		"missing " + other.String() + ":gone", "missing " + other.String() + "@" + digest.FromString("gone").String()}
	if !slices.Equal(reported, want) || summary.Tags != 2 {
		t.Errorf("reported %q, want %q; %+v", reported, want, summary)
	}
}

// TestRebuildKeepsOriginsOfRepositories checks that a local repository stays local, whatever the origin of its content.
func TestRebuildKeepsOriginsOfRepositories(t *testing.T) {
	s := stock(t)
	local, gone := mirror.Repo{Host: "docker.io", Path: "team/local"}, mirror.Repo{Host: "docker.io", Path: "team/gone"}
	known := mirror.Repo{Host: "docker.io", Path: "team/known"}
	s.must(s.PutManifest(t.Context(), known, s.list, "list"))
	s.rebuild(cache.RebuildSources{Backup: s.backup(), Names: names(
		cache.RebuildName{Repo: local, Origin: mirror.Pushed},
		cache.RebuildName{Repo: gone, Origin: mirror.Pushed},
		cache.RebuildName{Repo: known, Origin: mirror.Mirrored},
		cache.RebuildName{Repo: local, Tag: "list", Digest: s.list.Digest, Origin: mirror.Imported},
	)})
	for _, repo := range []mirror.Repo{local, gone} {
		if origin, err := s.RepoOrigin(t.Context(), repo); err != nil || origin != mirror.Pushed {
			t.Errorf("%s is %q, %v; want it local", repo, origin, err)
		}
	}
	if origin, err := s.RepoOrigin(t.Context(), known); err != nil || origin == mirror.Mirrored {
		t.Errorf("%s is %q, %v; want it as in the backup", known, origin, err)
	}
	if tag, err := s.Tag(t.Context(), local, "list"); err != nil || tag.Origin != mirror.Imported {
		t.Errorf("%+v, %v", tag, err)
	}
}

// TestRebuildAfterChanges pushes and loses content after the backup.
func TestRebuildAfterChanges(t *testing.T) {
	s := stock(t)
	backup := s.backup()
	s.must(receive(t.Context(), s.Store, "new"))
	moved := image("new", mirror.Pushed)
	putManifest(t, s.Store, moved, "latest", "new")
	lost := digest.FromString("signature")
	s.overwrite(lost, "signaturE")
	s.remove(s.mirrored.Digest)
	summary, reported := s.rebuild(cache.RebuildSources{Backup: backup, Names: names(
		cache.RebuildName{Repo: repo, Tag: "new", Digest: moved.Digest, Origin: mirror.Pushed},
		cache.RebuildName{Repo: repo, Tag: "latest", Digest: moved.Digest, Origin: mirror.Pushed})})
	wantTag(t, s.Store, "new", moved.Digest)
	wantTag(t, s.Store, "latest", s.pushed.Digest)
	wantTag(t, s.Store, "list", s.list.Digest)
	slices.Sort(reported)
	in := " " + repo.String()
	want := []string{"conflict" + in + ":latest", "damaged ", "incomplete" + in + "@" + s.referrer.Digest.String(),
		"missing" + in + ":mirrored", "missing" + in + "@" + s.mirrored.Digest.String()}
	if !slices.Equal(reported, want) {
		t.Errorf("reported %q, want %q; %+v", reported, want, summary)
	}
	if names := s.quarantined(); len(names) != 2 || !strings.Contains(names[0], lost.Encoded()) {
		t.Errorf("in quarantine: %v", names)
	}
}

// TestRebuildKeepsMirroredImagesThatAreIncomplete checks images that are mirrored according to the backup.
func TestRebuildKeepsMirroredImagesThatAreIncomplete(t *testing.T) {
	s := stock(t)
	s.rebuild(cache.RebuildSources{Backup: s.backup()})
	wantTag(t, s.Store, "mirrored", s.mirrored.Digest)
	if stat, err := s.StatBlob(t.Context(), repo, digest.FromString("never came")); err != nil || stat.Stored || !stat.Referenced {
		t.Errorf("%+v, %v", stat, err)
	}
}

// TestRebuildGrantsNoAccess checks that a blob which only another repository may read stays unreadable, and that what
// was readable stays readable, including blobs stored after the backup.
func TestRebuildGrantsNoAccess(t *testing.T) {
	s := stock(t)
	evil := mirror.Repo{Host: "docker.io", Path: "evil/app"}
	for blob, m := range map[string]mirror.Manifest{
		"secret": image("secret", mirror.Mirrored), // the other repository reads it before the backup
		"later":  image("later", mirror.Mirrored),  // stored for this repository only, after the backup
		"never":  image("never", mirror.Mirrored),  // stored for the other repository, after the rebuild
	} {
		s.must(s.PutManifest(t.Context(), evil, m, blob))
	}
	s.must(receive(t.Context(), s.Store, "secret"))
	backup := s.backup()
	in, err := s.Receive(t.Context(), digest.FromString("later"))
	s.must(err)
	_, err = in.Write([]byte("later"))
	s.must(err)
	s.must(in.Commit(t.Context(), evil))

	s.rebuild(cache.RebuildSources{Backup: backup})
	s.must(receive(t.Context(), s.Store, "never"))
	for blob, want := range map[string]mirror.BlobStat{
		"secret": {Stored: true, Referenced: true, Required: true, Size: 6, Confirmable: true},
		"later":  {Stored: true, Referenced: true, Required: true, Size: 5, Linked: true},
		"never":  {Stored: true, Referenced: true, Required: true, Size: 5, Confirmable: true},
	} {
		if got, err := s.StatBlob(t.Context(), evil, digest.FromString(blob)); err != nil || got != want {
			t.Errorf("blob %q is %+v, %v; want %+v", blob, got, err, want)
		}
	}
}

func TestRebuildRefuses(t *testing.T) {
	s := stock(t)
	if _, err := cache.Rebuild(t.Context(), s.blobs, s.index, cache.RebuildSources{}, nil); err == nil {
		t.Error("an index that is not empty was accepted")
	}
	empty := openBolt(t, t.TempDir())
	defer empty.Close()
	backup := openBolt(t, t.TempDir())
	defer backup.Close()
	if _, err := cache.Rebuild(t.Context(), s.blobs, empty, cache.RebuildSources{Backup: backup}, nil); err == nil {
		t.Error("a file that is not a backup was accepted")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := cache.Rebuild(ctx, s.blobs, empty, cache.RebuildSources{}, nil); err == nil {
		t.Error("it went on though its context had ended")
	}
}

// TestRebuildRecognizesManifestsByShape checks manifests that do not state their media type, without any index.
func TestRebuildRecognizesManifestsByShape(t *testing.T) {
	s := stock(t)
	s.must(receive(t.Context(), s.Store, "layer"))
	layer := digest.FromString("layer")
	image := `{"schemaVersion":2,"config":{"mediaType":"a/b","digest":"` + layer.String() + `","size":5},"layers":[]}`
	for doc, mediaType := range map[string]string{
		image: v1.MediaTypeImageManifest,
		`{"schemaVersion":2,"manifests":[{"digest":"` + digest.FromString(image).String() + `","size":` + "170" + `}]}`: v1.MediaTypeImageIndex,
		`{"schemaVersion":1,"fsLayers":[{"blobSum":"` + layer.String() + `"}]}`:                                         "application/vnd.docker.distribution.manifest.v1+json",
	} {
		m := mirror.Manifest{MediaType: mediaType, Digest: digest.FromString(doc), Bytes: []byte(doc), Origin: mirror.Pushed}
		putManifest(t, s.Store, m, "tag")
		defer func() {
			if got, err := s.Manifest(t.Context(), cache.RecoveredRepo, m.Digest); err != nil || got.MediaType != mediaType {
				t.Errorf("%s was recovered as %q, %v", doc, got.MediaType, err)
			}
		}()
	}
	s.rebuild(cache.RebuildSources{})
	if stat, err := s.StatBlob(t.Context(), cache.RecoveredRepo, layer); err != nil || !stat.Linked {
		t.Errorf("the layer: %+v, %v", stat, err)
	}
}
