package migrate_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/mirror"
	"airmirror/sync/migrate"
	"airmirror/sync/progress"
)

func TestFolderIsMigrated(t *testing.T) {
	o, h := newRegistryFolder(t), newTestStore(t, t.TempDir())
	app := o.image("team/app", "v1", "base", "app")
	o.image("team/app", "v2", "base", "app two")
	o.image("tool", "latest", "base")
	o.image("team/app/deeper", "x", "deep")
	untagged := o.put("tool", imageOf("base", "base"))
	docker := imageOf("base")
	docker.MediaType = mirror.MediaTypeDockerManifest
	old := o.put("tool", docker, "docker")
	bareDoc := imageOf("deep")
	bareDoc.MediaType = ""
	plain := o.put("team/app", bareDoc, "plain")
	index := o.put("team/app", indexOf(t, imageOf("base", "app"), imageOf("nowhere")), "sparse")
	signature := imageOf("deep")
	signature.ArtifactType = "application/signature"
	signature.Subject = &v1.Descriptor{MediaType: v1.MediaTypeImageManifest, Digest: app, Size: 1}
	signed := o.put("team/app", signature)
	garbage := o.blob("unneeded")

	s, events := o.move(h, migrate.Request{})
	if s.Repositories != 3 || s.Tags != 7 || s.Manifests != 9 || s.Skipped != 0 || s.Linked != s.Bytes || s.Cache {
		t.Errorf("%+v, skipped %v", s, events.skipped())
	}
	for tag, d := range map[string]digest.Digest{"team/app:v1": app, "tool:docker": old, "team/app:plain": plain, "team/app:sparse": index} {
		name, tag, _ := strings.Cut(tag, ":")
		if got := h.tag(name, tag); got != d {
			t.Errorf("%s:%s is %s", name, tag, got)
		}
	}
	for name, d := range map[string]digest.Digest{"team/app": app, "tool": untagged} {
		h.wantComplete(name, d)
	}
	h.wantComplete("team/app", signed)
	if list, _, err := h.Referrers(t.Context(), bare("team/app"), app, "", 10, 1<<20); err != nil || len(list) != 1 || list[0].Digest != signed {
		t.Errorf("referrers: %v, %v", list, err)
	}
	if h.isStored(garbage) {
		t.Error("a blob that no manifest needs was migrated")
	}
	for _, name := range []string{"team/app", "tool", "team/app/deeper"} {
		if origin, err := h.RepoOrigin(t.Context(), bare(name)); err != nil || origin != mirror.Pushed {
			t.Errorf("%s is %s, %v", name, origin, err)
		}
	}
	if tag, err := h.Tag(t.Context(), bare("tool"), "latest"); err != nil || tag.Origin != mirror.Pushed {
		t.Errorf("%+v, %v", tag, err)
	}

	again, _ := o.move(h, migrate.Request{})
	if again.Blobs != 0 || again.Bytes != 0 || again.Tags != s.Tags || again.Manifests != s.Manifests {
		t.Errorf("the second migration: %+v", again)
	}
	o.image("tool", "new", "base", "new")
	if more, _ := o.move(h, migrate.Request{}); more.Blobs != 2 || more.Tags != s.Tags+1 {
		t.Errorf("after one image was added: %+v", more)
	}
}

func TestFolderOfACache(t *testing.T) {
	o, h := newRegistryFolder(t), newTestStore(t, t.TempDir())
	must(t, os.WriteFile(filepath.Join(o.root, "scheduler-state.json"), []byte("{}"), 0o644))
	o.image("library/alpine", "3", "layer")
	s, _ := o.move(h, migrate.Request{})
	tag, err := h.Tag(t.Context(), bare("library/alpine"), "3")
	must(t, err)
	origin, err := h.RepoOrigin(t.Context(), bare("library/alpine"))
	must(t, err)
	if !s.Cache || tag.Origin != mirror.Imported || origin == mirror.Pushed {
		t.Errorf("%+v: the tag is %s, the repository %s", s, tag.Origin, origin)
	}
}

func TestFolderOfNoRegistry(t *testing.T) {
	h := newTestStore(t, t.TempDir())
	empty, file := t.TempDir(), filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(file, nil, 0o644))
	for _, req := range []migrate.Request{{Root: empty}, {Root: filepath.Join(empty, "absent")}, {Root: file}, {}, {From: "a.test"}, {Root: empty, Repos: []string{"["}}} {
		if _, err := migrate.Folder(t.Context(), h, mirror.Names{}, req, new(progress.Reporter), func(migrate.Event) {}); mirror.CodeOf(err) != mirror.CodeUnsupported {
			t.Errorf("%+v: %v", req, err)
		}
	}
	must(t, os.MkdirAll(filepath.Join(empty, "docker/registry/v2"), 0o755))
	for _, root := range []string{empty, filepath.Join(empty, "docker/registry/v2") + "/"} {
		if s, err := migrate.Folder(t.Context(), h, mirror.Names{}, migrate.Request{Root: root}, new(progress.Reporter), func(migrate.Event) {}); err != nil || s != (migrate.Summary{}) {
			t.Errorf("the empty registry at %s: %+v, %v", root, s, err)
		}
	}
}

// TestHostileFolder has a folder with one invalid entry of each kind. It is skipped with its reason, and everything else is
// migrated.
func TestHostileFolder(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	must(t, os.WriteFile(secret, []byte("secret"), 0o600))
	for name, test := range map[string]struct {
		spoil func(o registryFolder)
		what  string // name of what is skipped
		says  string
	}{
		"blob missing": {func(o registryFolder) { must(t, os.Remove(o.path(dataOf(digest.FromString("bad layer"))))) }, "bad@", "is missing"},
		"blob damaged": {func(o registryFolder) { o.write("BAD LAYER", dataOf(digest.FromString("bad layer"))) }, "bad@", "is damaged"},
		"blob too long": {func(o registryFolder) { o.write("bad layer and more", dataOf(digest.FromString("bad layer"))) }, "bad@",
			"has 18 bytes, not 9"},
		"blob elsewhere": {func(o registryFolder) {
			link := o.path(dataOf(digest.FromString("bad layer")))
			must(t, os.Remove(link))
			must(t, os.Symlink(secret, link))
		}, "bad@", "has 6 bytes, not 9"},
		"blob is a pipe": {func(o registryFolder) {
			must(t, os.Remove(o.path(dataOf(digest.FromString("bad layer")))))
			must(t, syscall.Mkfifo(o.path(dataOf(digest.FromString("bad layer"))), 0o644))
		}, "bad@", "is not a regular file"},
		"manifest missing": {func(o registryFolder) { must(t, os.Remove(o.path(dataOf(imageDigest(t, "bad layer"))))) }, "bad:v1", "has lost it"},
		"manifest damaged": {func(o registryFolder) { o.write("{}", dataOf(imageDigest(t, "bad layer"))) }, "bad:v1", "is damaged"},
		"manifest huge": {func(o registryFolder) { o.write(strings.Repeat(" ", 5<<20), dataOf(imageDigest(t, "bad layer"))) }, "bad:v1",
			"larger than 4194304 bytes"},
		"manifest deleted": {func(o registryFolder) {
			must(t, os.Remove(o.path("repositories/bad", revision(imageDigest(t, "bad layer")))))
		}, "bad:v1", "was deleted"},
		"no manifest":          {func(o registryFolder) { o.put("bad", "text", "text") }, "bad:text", "media type"},
		"no layer of schema 1": {func(o registryFolder) { o.put("bad", schema1("bad layer", "nowhere"), "old") }, "bad@" + digest.FromString("nowhere").String(), "does not have blob"},
		"link to another": {func(o registryFolder) {
			o.write(digest.FromString("x").String(), "repositories/bad", revision(imageDigest(t, "bad layer")))
		}, "bad:v1", "its link has another digest"},
		"link is no digest": {func(o registryFolder) { o.write("../../etc", "repositories/bad/_manifests/tags/v1/current/link") }, "bad:v1", "invalid digest"},
		"link is huge": {func(o registryFolder) {
			o.write(strings.Repeat("x", 1<<20), "repositories/bad/_manifests/tags/v1/current/link")
		}, "bad:v1", "larger than 256 bytes"},
		"link is a pipe": {func(o registryFolder) {
			must(t, os.MkdirAll(o.path("repositories/bad/_manifests/tags/pipe/current"), 0o755))
			must(t, syscall.Mkfifo(o.path("repositories/bad/_manifests/tags/pipe/current/link"), 0o644))
		}, "bad:pipe", "is not a regular file"},
		"link is a link": {func(o registryFolder) {
			must(t, os.MkdirAll(o.path("repositories/bad/_manifests/tags/link/current"), 0o755))
			must(t, os.Symlink(secret, o.path("repositories/bad/_manifests/tags/link/current/link")))
		}, "bad:link", "is not a regular file"},
		"tags elsewhere": {func(o registryFolder) {
			must(t, os.RemoveAll(o.path("repositories/bad/_manifests/tags")))
			must(t, os.Symlink(filepath.Dir(secret), o.path("repositories/bad/_manifests/tags")))
		}, "bad:secret", "not a directory"},
		"no tag":          {func(o registryFolder) { o.image("bad", "-x", "bad layer") }, "bad:-x", "not a tag"},
		"no digest":       {func(o registryFolder) { o.write("x", "repositories/bad/_manifests/revisions/sha256/zz/link") }, "bad", "invalid digest"},
		"no name":         {func(o registryFolder) { o.image("bad/Upper", "v1", "bad layer") }, "bad/Upper", "not a repository name"},
		"long name":       {func(o registryFolder) { o.image(strings.Repeat("long/", 60)+"name", "v1", "bad layer") }, strings.Repeat("long/", 49) + "long", "longer than"},
		"round in circle": {func(o registryFolder) { must(t, os.Symlink(".", o.path("repositories/bad/loop"))) }, "bad/loop", "a link to one of its parent folders"},
		"a file":          {func(o registryFolder) { o.write("", "repositories/bad/file") }, "bad/file", "is not a folder"},
	} {
		t.Run(name, func(t *testing.T) {
			o, h := newRegistryFolder(t), newTestStore(t, t.TempDir())
			good := o.image("good", "v1", "good layer")
			o.image("bad", "v1", "bad layer")
			test.spoil(o)
			s, events := o.move(h, migrate.Request{})
			if h.tag("good", "v1") != good {
				t.Error("the valid repository was not migrated")
			}
			h.wantComplete("good", good)
			if s.Skipped == 0 || h.isStored(digest.FromString("secret")) {
				t.Errorf("%+v", s)
			}
			for what, why := range events.skipped() {
				if strings.HasPrefix(what, test.what) && strings.Contains(why, test.says) {
					return
				}
			}
			t.Errorf("skipped %q", events.skipped())
		})
	}
}

// TestConflictingNames has an image under several names: tags that agree are migrated, tags that differ are not.
func TestConflictingNames(t *testing.T) {
	o, h := newRegistryFolder(t), newTestStore(t, t.TempDir())
	same := o.image("nginx", "same", "layer")
	o.image("library/nginx", "same", "layer")
	one := o.image("nginx", "1", "one")
	other := o.image("docker.io/library/nginx", "1", "other")
	alone := o.image("library/nginx", "2", "alone")
	s, events := o.move(h, migrate.Request{})
	if s.Skipped != 2 || s.Tags != 3 {
		t.Errorf("%+v, skipped %v", s, events.skipped())
	}
	for name, parts := range map[string][]string{
		"nginx:1":                   {one.String(), "docker.io/library/nginx:1 points at " + other.String(), "neither was migrated"},
		"docker.io/library/nginx:1": {other.String(), "nginx:1 points at " + one.String(), "neither was migrated"},
	} {
		for _, part := range parts {
			if why := events.skipped()[name]; !strings.Contains(why, part) {
				t.Errorf("%s: %q does not say %q", name, why, part)
			}
		}
	}
	if h.tag("nginx", "1") != "" || h.tag("library/nginx", "1") != "" {
		t.Error("a conflicting tag was migrated")
	}
	if h.tag("nginx", "same") != same || h.tag("library/nginx", "same") != same || h.tag("library/nginx", "2") != alone {
		t.Error("a tag without conflict was not migrated")
	}
	if s, _ := o.move(h, migrate.Request{Repos: []string{"docker.io/library/nginx"}}); s.Skipped != 0 || h.tag("library/nginx", "1") != other {
		t.Errorf("a migration of one of the names: %+v", s)
	}
}

// TestSymbolicLinks has blobs, a repository and single files of a registry on another disk.
func TestSymbolicLinks(t *testing.T) {
	data, elsewhere := t.TempDir(), t.TempDir()
	o, h := newRegistryFolder(t), newTestStore(t, data)
	move := func(name string) {
		to := filepath.Join(elsewhere, digest.FromString(name).Encoded())
		must(t, os.Rename(o.path(name), to))
		must(t, os.Symlink(to, o.path(name)))
	}
	app := o.image("team/app", "v1", "layer", "large layer")
	move(dataOf(digest.FromString("large layer")))
	move("blobs/sha256")
	move("repositories/team")
	s, events := o.move(h, migrate.Request{})
	if s.Repositories != 1 || s.Skipped != 0 || h.tag("team/app", "v1") != app {
		t.Errorf("%+v, skipped %v", s, events.skipped())
	}
	h.wantComplete("team/app", app)
	large := digest.FromString("large layer").Encoded()
	if info, err := os.Lstat(filepath.Join(data, "blobs/sha256", large[:2], large)); err != nil || !info.Mode().IsRegular() {
		t.Errorf("a blob behind a symbolic link is stored as %v, %v", info, err)
	}
}

func imageDigest(t *testing.T, layers ...string) digest.Digest {
	return digest.FromBytes(marshal(t, imageOf(layers...)))
}

func TestPatternsChooseRepositories(t *testing.T) {
	o, h := newRegistryFolder(t), newTestStore(t, t.TempDir())
	for _, name := range []string{"team/app", "team/a/b", "tool"} {
		o.image(name, "v1", name)
	}
	s, events := o.move(h, migrate.Request{Repos: []string{"team/*", "absent"}})
	if why := events.skipped()["absent"]; s.Skipped != 1 || why != "there is no such repository" {
		t.Errorf("%+v, skipped %v", s, events.skipped())
	}
	if s.Repositories != 1 || h.tag("team/app", "v1") == "" || h.tag("team/a/b", "v1") != "" {
		t.Errorf("%+v", s)
	}
}

func TestPushedTagsAreKept(t *testing.T) {
	o, h := newRegistryFolder(t), newTestStore(t, t.TempDir())
	there, same := o.image("app", "v1", "old"), o.image("app", "v2", "same")
	here := h.push("app", "v1", "new")
	h.push("app", "v2", "same")
	s, events := o.move(h, migrate.Request{})
	if s.Kept != 1 || s.Tags != 1 || h.tag("app", "v1") != here || h.tag("app", "v2") != same {
		t.Errorf("%+v", s)
	}
	if kept := events.of(migrate.KindKept); len(kept) != 1 || kept[0].Name != "app:v1" || kept[0].Digest != there || kept[0].Was != here {
		t.Errorf("kept %+v", kept)
	}
	h.wantComplete("app", there) // by its digest
	if s, _ := o.move(h, migrate.Request{Overwrite: true}); s.Kept != 0 || s.Tags != 2 || h.tag("app", "v1") != there {
		t.Errorf("%+v", s)
	}
}

// TestMoreThanOneBatch has more tags than a transaction writes, and some that cannot be migrated among them.
func TestMoreThanOneBatch(t *testing.T) {
	o, h := newRegistryFolder(t), newTestStore(t, t.TempDir())
	const repos, tags = 2, 270
	o.image("app0", "base", "base")
	for r := range repos {
		name := fmt.Sprint("app", r)
		for n := range tags {
			doc := imageOf("base")
			doc.Annotations = map[string]string{"n": fmt.Sprint(n)}
			o.put(name, doc, fmt.Sprint("v", n))
		}
		o.put(name, imageOf("nowhere"), "lost")
	}
	s, _ := o.move(h, migrate.Request{})
	const files = tags + 1 + 2 // two repositories may store the same content concurrently
	if s.Tags != repos*tags+1 || s.Manifests != repos*tags+1 || s.Skipped != 2*repos || s.Blobs < files || s.Blobs > 2*files {
		t.Errorf("%+v", s)
	}
}

// failingStore is a store that fails after some files, and counts those that it stored.
type failingStore struct {
	testStore
	left   int
	then   func() error
	stored int
}

func (b *failingStore) ImportFile(ctx context.Context, d digest.Digest, path string) (bool, error) {
	if b.left--; b.left < 0 {
		if err := b.then(); err != nil {
			return false, err
		}
	}
	linked, err := b.testStore.ImportFile(ctx, d, path)
	if err == nil {
		b.stored++
	}
	return linked, err
}

// TestInterruptedMigrationIsCompletedLater interrupts a migration and runs it again.
func TestInterruptedMigrationIsCompletedLater(t *testing.T) {
	for name, fails := range map[string]func(cancel context.CancelFunc) error{
		"no room":     func(context.CancelFunc) error { return mirror.Errorf(mirror.CodeStorageFull, "no room") },
		"fault":       func(context.CancelFunc) error { return errors.New("the disk is broken") },
		"interrupted": func(cancel context.CancelFunc) error { cancel(); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			o, h := newRegistryFolder(t), newTestStore(t, t.TempDir())
			for n := range 20 {
				o.image(fmt.Sprint("app", n), "v1", "base", fmt.Sprint(n))
			}
			ctx, cancel := context.WithCancel(t.Context())
			store := &failingStore{testStore: h, left: 5, then: func() error { return fails(cancel) }}
			_, err := migrate.Folder(ctx, store, mirror.Names{}, migrate.Request{Root: o.root, Parallel: 1}, new(progress.Reporter), func(e migrate.Event) {
				if e.Kind == migrate.KindSkipped {
					t.Errorf("%s is reported as skipped: %s", e.Name, e.Error)
				}
			})
			if err == nil {
				t.Fatal("the migration succeeded")
			}
			s, _ := o.move(h, migrate.Request{})
			if s.Tags != 20 || store.stored < 1 || s.Blobs < 1 || s.Blobs > 42-store.stored {
				t.Errorf("again, after %d files were stored: %+v", store.stored, s)
			}
			for n := range 20 {
				h.wantComplete(fmt.Sprint("app", n), h.tag(fmt.Sprint("app", n), "v1"))
			}
		})
	}
}
