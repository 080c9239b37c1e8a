package cache_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/cache"
	"airmirror/cache/backend"
	"airmirror/mirror"
)

// allTables are all tables of an index.
var allTables = []backend.Table{cache.TableMeta, cache.TableRepos, cache.TableBlobs, cache.TableLinks, cache.TableManifests, cache.TableUses, cache.TableTags,
	cache.TableReferrers, cache.TableParents, cache.TableTagged, cache.TableRecency, cache.TableRoots, "notes"}

var (
	localRepo  = mirror.Repo{Host: "docker.io", Path: "team/local"}
	thiefsRepo = mirror.Repo{Host: "docker.io", Path: "thief/app"}
)

// lived is a shelf with a history: a local repository with an image by digest, a local empty repository, one that may
// not read what its manifests name, a pin, other state, and old times.
func lived(t *testing.T) *shelf {
	t.Helper()
	s := stock(t)
	s.must(s.PutManifest(t.Context(), localRepo, s.list, "list"))
	in, err := s.Receive(t.Context(), digest.FromString("pushed"))
	s.must(err)
	_, err = in.Write([]byte("pushed"))
	s.must(err)
	s.must(in.Commit(t.Context(), localRepo))
	s.must(s.PutManifest(t.Context(), localRepo, s.pushed))
	_, err = s.PointTags(t.Context(), []mirror.ImportedTag{{Repo: localRepo, Digest: s.pushed.Digest}}, false)
	s.must(err)
	s.must(s.PutManifest(t.Context(), thiefsRepo, image("pushed", mirror.Mirrored), "v1"))
	s.must(receive(t.Context(), s.Store, "read by nobody"))
	s.must(s.PutManifest(t.Context(), thiefsRepo, image("read by nobody", mirror.Mirrored)))
	s.must(s.SetState(t.Context(), "pin", map[string][]byte{repo.String() + ":latest": []byte(`{"why":"audit"}`)}))
	s.must(s.SetState(t.Context(), "transfer", map[string][]byte{"identity": []byte("0123abc")}))
	_, err = s.Manifest(t.Context(), repo, s.pushed.Digest)
	s.must(err)
	s.must(s.FlushRecency(t.Context()))
	old := []byte(time.Now().UTC().Format(`"2006-01-02T`))
	s.write(func(tx backend.WriteTx) error {
		for _, table := range allTables {
			changed := make(map[string][]byte)
			for k, value := range tx.Scan(table, "", "") {
				changed[k] = bytes.ReplaceAll(value, old, []byte(`"2021-05-06T`))
			}
			for k, value := range changed {
				if err := tx.Put(table, k, value); err != nil {
					return err
				}
			}
		}
		return errors.Join(tx.Delete(cache.TableLinks, digest.FromString("read by nobody").String()+"\x00"+repo.String()),
			tx.Put(cache.TableRepos, "docker.io/team/reserved", []byte(`{"origin":"pushed","created":"2021-05-06T07:08:09Z"}`)))
	})
	return s
}

// TestRebuildFromTheOldIndexIsTheSame compares every table, byte by byte.
func TestRebuildFromTheOldIndexIsTheSame(t *testing.T) {
	s := lived(t)
	before := s.entries(allTables...)
	summary, reported := s.rebuild(cache.RebuildSources{Old: s.index})
	same(t, s.entries(allTables...), before)
	if len(reported) != 0 || summary.Manifests != 8 || summary.Tags != 6 || summary.Deleted != 0 {
		t.Errorf("%+v, reported %v", summary, reported)
	}
}

// TestRebuildLeavesWhatWasDeleted checks that deleted images, children and referrers are left to the collector, if the
// old index is complete.
func TestRebuildLeavesWhatWasDeleted(t *testing.T) {
	s := lived(t)
	s.must(receive(t.Context(), s.Store, "alone"))
	alone := image("alone", mirror.Pushed)
	putManifest(t, s.Store, alone, "alone")
	s.must(s.DeleteManifest(t.Context(), repo, alone.Digest))
	s.must(s.DeleteManifest(t.Context(), repo, s.referrer.Digest))
	s.must(s.DeleteManifest(t.Context(), repo, s.mirrored.Digest))
	backup := s.backup()
	before := s.entries(allTables...)
	summary, reported := s.rebuild(cache.RebuildSources{Old: s.index})
	same(t, s.entries(allTables...), before)
	if len(reported) != 0 || summary.Deleted != 2 { // an index still names the third
		t.Errorf("%+v, reported %v", summary, reported)
	}
	if summary, reported = s.rebuild(cache.RebuildSources{Backup: backup}); summary.Deleted != 0 || !slices.Contains(reported, "recovered localhost/recovered:"+alone.Digest.Encoded()[:12]) {
		t.Errorf("from a backup: %+v, reported %v; a backup does not know what came after it", summary, reported)
	}
}

// TestRebuildSkipsUnreadableEntries checks that each is reported, that other tables are used instead, and that all
// other entries are the same.
func TestRebuildSkipsUnreadableEntries(t *testing.T) {
	latest := repo.String() + "\x00latest"
	for _, c := range []struct {
		name    string
		table   backend.Table
		key     func(s *shelf) string
		changed []string // prefixes of tables and keys that may differ
		gone    bool     // the entry is not in the new index
	}{
		{"a tag", cache.TableTags, func(*shelf) string { return latest }, []string{"tags " + latest}, false},
		{"a manifest", cache.TableManifests, func(s *shelf) string { return repo.String() + "\x00" + s.pushed.Digest.String() }, []string{"manifests " + repo.String()}, false},
		{"a manifest that reads nothing", cache.TableManifests, func(s *shelf) string {
			return thiefsRepo.String() + "\x00" + image("pushed", mirror.Mirrored).Digest.String()
		}, []string{"manifests " + thiefsRepo.String()}, false},
		{"the link of who may not read", cache.TableLinks, func(*shelf) string { return digest.FromString("pushed").String() + "\x00" + thiefsRepo.String() }, []string{"links "}, false},
		{"a local repository", cache.TableRepos, func(*shelf) string { return localRepo.String() }, []string{"repos " + localRepo.String()}, false},
		{"a reserved repository", cache.TableRepos, func(*shelf) string { return "docker.io/team/reserved" }, []string{"repos docker.io/team/reserved"}, false},
		{"a blob", cache.TableBlobs, func(*shelf) string { return digest.FromString("pushed").String() }, []string{"blobs " + digest.FromString("pushed").String()}, false},
		{"a root", cache.TableRoots, func(s *shelf) string { return localRepo.String() + "\x00" + s.pushed.Digest.String() }, []string{"roots " + localRepo.String()}, false},
		{"a pin", "notes", func(*shelf) string { return "pin\x00" + repo.String() + ":latest" }, nil, true},
		{"a link", cache.TableLinks, func(*shelf) string { return digest.FromString("pushed").String() + "\x00" + localRepo.String() }, []string{"links "}, false},
		{"the last use", cache.TableRecency, func(s *shelf) string { return repo.String() + "\x00" + s.pushed.Digest.String() }, nil, true},
		{"the clock", cache.TableMeta, func(*shelf) string { return "clock" }, []string{clockEntry}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := lived(t)
			k := c.key(s)
			before := s.entries(allTables...)
			if before[string(c.table)+" "+k] == "" {
				t.Fatalf("there is no %q", k)
			}
			s.write(func(tx backend.WriteTx) error {
				return tx.Put(c.table, k, append([]byte(`{"`), tx.Get(c.table, k)...))
			})
			summary, reported := s.rebuild(cache.RebuildSources{Old: s.index})
			after := s.entries(allTables...)
			if _, there := after[string(c.table)+" "+k]; there == c.gone {
				t.Errorf("%q is there: %t", k, there)
			}
			for name := range before {
				if slices.ContainsFunc(c.changed, func(p string) bool { return strings.HasPrefix(name, p) }) && after[name] != "" || c.gone && name == string(c.table)+" "+k {
					delete(before, name)
					delete(after, name)
				}
			}
			same(t, after, before)
			if !slices.Equal(reported, []string{"unreadable "}) || summary.Events[cache.RebuildUnreadable] != 1 {
				t.Errorf("reported %q, %+v", reported, summary)
			}
			for want, in := range map[mirror.Origin]mirror.Repo{mirror.Pushed: localRepo, mirror.Mirrored: thiefsRepo} {
				if origin, err := s.RepoOrigin(t.Context(), in); err != nil || origin != want {
					t.Errorf("%s is %q, %v; want %s", in, origin, err, want)
				}
			}
			wantTag(t, s.Store, "latest", s.pushed.Digest)
			for in, want := range map[mirror.Repo]bool{localRepo: true, thiefsRepo: false} {
				if stat, err := s.StatBlob(t.Context(), in, digest.FromString("pushed")); err != nil || stat.Linked != want {
					t.Errorf("%s reads the blob of others: %+v, %v", in, stat, err)
				}
			}
		})
	}
}

// TestRebuildFromTheOldIndexAndABackup checks that the old index takes precedence, and the backup adds what is missing.
func TestRebuildFromTheOldIndexAndABackup(t *testing.T) {
	s := lived(t)
	backup := s.backup()
	s.must(receive(t.Context(), s.Store, "new"))
	moved := image("new", mirror.Pushed)
	putManifest(t, s.Store, moved, "latest")
	s.must(s.SetState(t.Context(), "pin", map[string][]byte{repo.String() + ":latest": nil, repo.String() + ":list": []byte(`{}`)}))
	s.must(s.DeleteTag(t.Context(), repo, "list"))
	summary, reported := s.rebuild(cache.RebuildSources{Old: s.index, Backup: backup})
	wantTag(t, s.Store, "latest", moved.Digest)
	wantTag(t, s.Store, "list", s.list.Digest)
	pins, err := s.State(t.Context(), "pin")
	s.must(err)
	if len(pins) != 2 {
		t.Errorf("pins are %q", pins)
	}
	if !slices.Equal(reported, []string{"conflict " + repo.String() + ":latest"}) || summary.Tags != 6 {
		t.Errorf("reported %q, %+v", reported, summary)
	}
}

// TestRebuildReportsUnreadablePages checks that nothing counts as deleted then.
func TestRebuildReportsUnreadablePages(t *testing.T) {
	s := stock(t)
	s.must(receive(t.Context(), s.Store, "alone"))
	alone := image("alone", mirror.Pushed)
	putManifest(t, s.Store, alone, "alone")
	s.must(s.DeleteManifest(t.Context(), repo, alone.Digest))
	_, reported := s.rebuild(cache.RebuildSources{Old: s.index, Unreadable: []error{errors.New("page 5 cannot be read")}})
	if want := []string{"unreadable ", "recovered localhost/recovered:" + alone.Digest.Encoded()[:12]}; !slices.Equal(reported, want) {
		t.Errorf("reported %q, want %q", reported, want)
	}
}

func TestRebuildRefusesANewerOldIndex(t *testing.T) {
	s := stock(t)
	s.write(func(tx backend.WriteTx) error { return tx.Put(cache.TableMeta, "schema", []byte(`{"version":99}`)) })
	empty := openBolt(t, t.TempDir())
	defer empty.Close()
	if _, err := cache.Rebuild(t.Context(), s.blobs, empty, cache.RebuildSources{Old: s.index}, nil); err == nil || !strings.Contains(err.Error(), "newer version") {
		t.Errorf("%v", err)
	}
}

// TestRebuildWithoutATable checks that other tables are used instead.
func TestRebuildWithoutATable(t *testing.T) {
	for _, table := range []backend.Table{cache.TableManifests, cache.TableTags} {
		s := lived(t)
		s.write(func(tx backend.WriteTx) error {
			var keys []string
			for k := range tx.Scan(table, "", "") {
				keys = append(keys, k)
			}
			for _, k := range keys {
				if err := tx.Delete(table, k); err != nil {
					return err
				}
			}
			return nil
		})
		_, reported := s.rebuild(cache.RebuildSources{Old: s.index, Unreadable: []error{errors.New("a page cannot be read")}})
		wantTag(t, s.Store, "latest", s.pushed.Digest)
		wantTag(t, s.Store, "list", s.list.Digest)
		if got, err := s.Manifest(t.Context(), localRepo, s.pushed.Digest); err != nil || got.Origin != mirror.Pushed {
			t.Errorf("without %s: %+v, %v", table, got, err)
		}
		if roots, err := s.Roots(t.Context(), localRepo, "", 9); err != nil || len(roots) != 1 {
			t.Errorf("without %s: roots are %v, %v", table, roots, err)
		}
		if stat, err := s.StatBlob(t.Context(), thiefsRepo, digest.FromString("pushed")); err != nil || stat.Linked {
			t.Errorf("without %s: %+v, %v", table, stat, err)
		}
		for _, what := range reported {
			if strings.HasPrefix(what, "recovered") {
				t.Errorf("without %s: %s", table, what)
			}
		}
	}
}
